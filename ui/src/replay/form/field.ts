import type { Problems, ReplayForm } from "./form";

/** What every group of fields gets. */
export type FieldProps = {
  form: ReplayForm;
  set: (changed: Partial<ReplayForm>) => void;
  problems: Problems;
};
