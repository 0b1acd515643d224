import { resolve } from "node:path";
import { build } from "vite";

export const BUILT = resolve(import.meta.dirname, "../node_modules/.carillon-page");

/** The page, of the package as it is in `dist`. */
export async function setup(): Promise<void> {
  const dist = resolve(import.meta.dirname, "../dist");
  await build({
    root: resolve(import.meta.dirname, "app"),
    configFile: false,
    logLevel: "warn",
    resolve: {
      alias: [
        { find: /^carillon-client$/, replacement: `${dist}/index.js` },
        { find: "carillon-client/styles.css", replacement: `${dist}/styles.css` },
        { find: /^carillon-client\/(.*)$/, replacement: `${dist}/$1/index.js` },
      ],
    },
    build: { outDir: BUILT, emptyOutDir: true, minify: false },
  });
}
