import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The script and the styles of a tree that is kept as one HTML file: a plain script, which runs from a disk. */
export default defineConfig({
  plugins: [react()],
  publicDir: false,
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  build: {
    outDir: "../src/regraft/presentation/web/static/snapshot",
    emptyOutDir: true,
    target: "es2022",
    cssCodeSplit: false,
    lib: {
      entry: "src/lineage/snapshot/main.tsx",
      formats: ["iife"],
      name: "regraftTree",
      fileName: () => "tree.js",
      cssFileName: "tree",
    },
  },
});
