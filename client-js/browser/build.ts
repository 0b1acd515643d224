import { resolve } from "node:path";
import { build } from "vite";

export const BUILT = resolve(import.meta.dirname, "../node_modules/.carillon-page");

const dist = resolve(import.meta.dirname, "../dist");
const modules = resolve(import.meta.dirname, "../node_modules");

/** The package as it is in `dist`; and what pages outside this folder import beside it. */
export const packageHere = [
  { find: /^carillon-client$/, replacement: `${dist}/index.js` },
  { find: "carillon-client/styles.css", replacement: `${dist}/styles.css` },
  { find: /^carillon-client\/(.*)$/, replacement: `${dist}/$1/index.js` },
  { find: /^(react-dom|react|socket\.io-client)(\/.*)?$/, replacement: `${modules}/$1$2` },
];

/** The page, of the package as it is in `dist`. */
export async function setup(): Promise<void> {
  await build({
    root: resolve(import.meta.dirname, "app"),
    configFile: false,
    logLevel: "error",
    resolve: { alias: packageHere },
    build: { outDir: BUILT, emptyOutDir: true, minify: false },
  });
}
