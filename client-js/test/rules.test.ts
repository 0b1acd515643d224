// What must not be in the code, whatever it does.

import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const SRC = resolve(import.meta.dirname, "../src");
const DEMO = resolve(import.meta.dirname, "../demo");
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((name) => /\.tsx?$/.test(name));

test("no `any`, no HTML made of text, no file too long to read", () => {
  const faults: string[] = [];
  for (const name of files) {
    const code = readFileSync(join(SRC, name), "utf8");
    for (const [at, line] of code.split("\n").entries()) {
      const bare = line.replace(/\/\/.*|^\s*\/?\*.*/, "").replace(/(["'`]).*?\1/g, "");
      if (/[:<|&,(]\s*any\b|\bas any\b|@ts-ignore|@ts-expect-error/.test(bare)) faults.push(`${name}:${at + 1}: any`);
      if (/dangerouslySetInnerHTML|innerHTML|insertAdjacentHTML|document\.write|\beval\(/.test(bare)) faults.push(`${name}:${at + 1}: HTML`);
      if (line.length > 180) faults.push(`${name}:${at + 1}: too long`);
    }
    if (code.split("\n").length > 350) faults.push(`${name}: too long`);
  }
  expect(faults).toEqual([]);
});

test("the core knows no React, and no package at all", () => {
  for (const name of files.filter((one) => one.startsWith("core") || one === "index.ts")) {
    const imported = [...readFileSync(join(SRC, name), "utf8").matchAll(/from "([^"]+)"/g)].map(([, from]) => from ?? "");
    expect(imported.filter((from) => !/^\.\/(core\/)?[a-z]+\.js$/.test(from))).toEqual([]);
  }
});

test("what people read comes from the locales", () => {
  const faults: string[] = [];
  const words = /[A-Za-z]{2,}/;
  const parts = files.filter((one) => one.startsWith("react") && one.endsWith(".tsx")).map((name) => ({ name, code: readFileSync(join(SRC, name), "utf8") }));
  const demo = readdirSync(DEMO).filter((name) => name.endsWith(".tsx")).map((name) => ({ name: `demo/${name}`, code: readFileSync(join(DEMO, name), "utf8") }));
  // Names and addresses are the same in every language.
  const names = /^(Carillon|\/[a-z]+\/?|ms)$/;
  for (const { name, code } of [...parts, ...demo]) {
    for (const [at, line] of code.split("\n").entries()) {
      const bare = line.replace(/^\s*(\/\/|\/?\*).*/, "");
      for (const [, said = ""] of bare.matchAll(/(?:aria-label|title|alt|placeholder|aria-description)="([^"]*)"/g)) if (words.test(said)) faults.push(`${name}:${at + 1}: ${said}`);
      for (const [, said = ""] of bare.matchAll(/<\/?[A-Za-z](?:[^<>]*[^=<>])?>([^<>{}]+)</g)) if (words.test(said) && !names.test(said.trim())) faults.push(`${name}:${at + 1}: ${said}`);
      if (/^\s+\p{Lu}[\p{L}’']* [\p{L} ,.!?:’']+$|\{"[^"]*[a-z]{2}[^"]*"\}/u.test(bare) && !/="/.test(bare)) faults.push(`${name}:${at + 1}: ${bare.trim()}`);
      if (!name.startsWith("demo") && /\.(message|detail)\b/.test(bare) && !/notification\.message/.test(bare)) faults.push(`${name}:${at + 1}: a server's own words`);
    }
  }
  expect(faults).toEqual([]);
});
