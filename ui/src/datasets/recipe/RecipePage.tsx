import { useState } from "react";
import { api } from "../../api/client";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { Failed } from "../../parts/Failed";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import type { PageProps } from "../../shell/page";
import { useIsAdmin } from "../../shell/session";
import { KINDS } from "../words";
import { Editor } from "./Editor";
import { FreezeDialog } from "./FreezeDialog";
import { PreviewPanel } from "./PreviewPanel";
import styles from "./RecipePage.module.css";
import { SaveDialog } from "./SaveDialog";
import { useDraft } from "./useDraft";
import { useCheck, usePreview } from "./usePreview";

/** A recipe to edit, beside what it would give. */
export default function RecipePage({ params }: PageProps) {
  const name = params.name ?? "";
  const admin = useIsAdmin();
  const recipes = api.useQuery("get", "/api/recipes");
  const recipe = api.useQuery("get", "/api/recipes/{name}", { params: { path: { name } } });
  const draft = useDraft(name, recipe.data?.text);
  const { checked, isCurrent, error } = useCheck(draft.text);
  const mistakes = checked?.mistakes ?? [];
  const isRecipe = isCurrent && mistakes.length === 0;
  const [allRows, setAllRows] = useState(false);
  const preview = usePreview(admin && isRecipe ? draft.text : undefined, allRows);
  const [dialog, setDialog] = useState<"" | "freeze" | "save">("");
  const close = () => setDialog("");
  const kind = checked?.kind ?? recipe.data?.kind ?? "";

  const crumbs = [{ label: "Datasets", href: "/datasets" }];
  if (recipe.error)
    return (
      <Page title={name} crumbs={crumbs}>
        <Failed error={recipe.error} retry={() => void recipe.refetch()} />
      </Page>
    );
  if (draft.text === undefined)
    return (
      <Page title={name} crumbs={crumbs}>
        <Loading what="recipe" />
      </Page>
    );
  return (
    <Page
      title={name}
      crumbs={crumbs}
      about={
        <>
          {kind && `${kind}: ${KINDS[kind] ?? ""} `}
          {recipe.data?.origin === "built_in" && <Chip>built in</Chip>}{" "}
          {draft.isDraft && <Chip tone="info">edited, not saved</Chip>}
        </>
      }
      actions={
        <>
          {draft.isDraft && <Button onClick={draft.drop}>Undo edits</Button>}
          {recipes.data?.saves && (
            <Button disabled={!isRecipe} onClick={() => setDialog("save")}>
              Save …
            </Button>
          )}
          {admin && (
            <Button
              kind="primary"
              disabled={!isRecipe || !preview.isCurrent || preview.preview?.rows === 0}
              onClick={() => setDialog("freeze")}
            >
              Freeze …
            </Button>
          )}
        </>
      }
    >
      <div className={styles.sides}>
        <div className={styles.editor}>
          <Editor text={draft.text} onChange={draft.keep} mistakes={mistakes} />
          {error != null && <Failed error={error} />}
        </div>
        <PreviewPanel
          admin={admin}
          found={preview}
          isStale={!isRecipe || !preview.isCurrent}
          onAllRows={() => setAllRows(true)}
        />
      </div>
      {preview.preview && (
        <FreezeDialog
          open={dialog === "freeze"}
          onClose={close}
          text={draft.text}
          preview={preview.preview}
        />
      )}
      <SaveDialog
        open={dialog === "save"}
        onClose={close}
        text={draft.text}
        name={recipe.data?.origin === "saved" ? name : ""}
        suggested={checked?.name ?? name}
        onSaved={draft.drop}
      />
    </Page>
  );
}
