// The demo page's script and styles, into `built`, where the server's program takes them from; and the licences of all that is
// in them. The same sources and packages give the same bytes.
//
//   node demo/build.mjs            writes them; `dist` must be there
//   node demo/build.mjs --check    tells whether what is there is what would be written

import { build } from "esbuild";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

process.chdir(join(import.meta.dirname, ".."));

const { outputFiles, metafile } = await build({
  entryPoints: { demo: "demo/main.tsx" },
  outdir: "demo/built",
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  charset: "utf8",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  logLevel: "warning",
});

/** The folder of the package that a file belongs to; null for our own. */
const packageOf = (input) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? null;

function licence(folder) {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).sort().find((one) => /^licen[cs]e/i.test(one));
  if (file === undefined) throw new Error(`${name} has no licence file: look for its licence, and say here where it is`);
  return `${name} ${version} (${license})\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}\n`;
}

const used = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0));
const packages = [...new Set(used.map(([input]) => packageOf(input)))].filter((folder) => folder !== null).sort();
const licences = `What the demo page is made of, beside Carillon itself.\n\n${packages.map(licence).join(`\n${"-".repeat(80)}\n\n`)}`;

const files = new Map(outputFiles.map(({ path, contents }) => [path.split("/").at(-1), Buffer.from(contents)]));
files.set("licenses.txt", Buffer.from(licences));

if (process.argv.includes("--check")) {
  const old = [...files].filter(([name, content]) => !existsSync(`demo/built/${name}`) || !readFileSync(`demo/built/${name}`).equals(content));
  if (old.length > 0) {
    console.error(`The demo page is not built from what is here: ${old.map(([name]) => `client-js/demo/built/${name}`).join(", ")}.`);
    console.error("In client-js: npm run build && npm run demo, and commit what it writes.");
    process.exit(1);
  }
} else {
  mkdirSync("demo/built", { recursive: true });
  for (const [name, content] of files) writeFileSync(`demo/built/${name}`, content);
}
