// A dashboard as Grafana's own types describe it, with each panel's options and field settings checked too: in those types they
// are records of anything. A panel leaves out what its plugin has a default for, hence `Partial`.
import type { GraphFieldConfig, TableFieldOptions } from "@grafana/schema";
import type * as bargauge from "@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen";
import type * as nodegraph from "@grafana/schema/dist/types/raw/composable/nodegraph/panelcfg/x/types.gen";
import type * as stat from "@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen";
import type * as table from "@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen";
import type * as text from "@grafana/schema/dist/types/raw/composable/text/panelcfg/x/types.gen";
import type * as timeseries from "@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen";
import type { Dashboard, FieldConfig, FieldConfigSource, Panel } from "@grafana/schema/dist/types/raw/dashboard/x/types.gen";

// The types of queries are in the packages of their data sources: those of their keys that we use, from @grafana/prometheus 13.1.4
// (`PromQuery`) and @grafana/sql 13.2.3 (`SQLQuery`).
interface PrometheusQuery {
  refId: string;
  datasource: { type: "prometheus"; uid: "regraft-prometheus" };
  expr: string;
  range?: boolean;
  instant?: boolean;
  format?: "time_series" | "table" | "heatmap";
  legendFormat?: string;
}
interface SqlQuery {
  refId: string;
  datasource: { type: "grafana-postgresql-datasource"; uid: "regraft-postgres" };
  rawSql: string;
  rawQuery: true;
  format: "time_series" | "table";
  editorMode: "code";
}
interface Link {
  title: string;
  url: string;
  targetBlank?: boolean;
}
interface Settings<Custom> extends Omit<FieldConfigSource, "defaults"> {
  defaults: Omit<FieldConfig, "custom" | "links"> & { custom?: Partial<Custom>; links?: Link[] };
}
interface Typed<Type extends string, Options, Custom> extends Omit<Panel, "type" | "options" | "fieldConfig" | "targets"> {
  type: Type;
  id: number;
  title: string;
  options?: Partial<Options>;
  fieldConfig?: Settings<Custom>;
  targets?: Array<PrometheusQuery | SqlQuery>;
}
type Nothing = Record<string, never>;
type AnyPanel =
  | Typed<"stat", stat.Options, Nothing>
  | Typed<"timeseries", timeseries.Options, GraphFieldConfig>
  | Typed<"table", table.Options, TableFieldOptions>
  | Typed<"bargauge", bargauge.Options, Nothing>
  | Typed<"nodeGraph", nodegraph.Options, Nothing>
  | Typed<"text", text.Options, Nothing>;

export interface RegraftDashboard extends Omit<Dashboard, "panels"> {
  uid: string;
  title: string;
  panels: AnyPanel[];
}
