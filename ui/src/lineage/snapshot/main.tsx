import { createRoot } from "react-dom/client";
import "../../shell/theme.css";
import type { SnapshotData } from "./data";
import { SnapshotPage } from "./SnapshotPage";

const root = document.getElementById("root");
const text = document.getElementById("tree-data")?.textContent;
if (root && text) createRoot(root).render(<SnapshotPage data={JSON.parse(text) as SnapshotData} />);
