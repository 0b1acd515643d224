// How it looks is the page's to say: light or dark, and each variable.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ground, badge, bell, titles, until } from "./ground.ts";

let ground: Ground;

beforeAll(async () => {
  ground = await Ground.make();
});
afterAll(() => ground.end());

const BLACK = "rgb(0, 0, 0)";
const surface = (page: Page) => page.locator(".carillon-center").evaluate((element) => getComputedStyle(element).backgroundColor);
const isDark = async (page: Page) => {
  const [red = 255] = (/\d+/.exec(await surface(page)) ?? []).map(Number);
  return red < 60;
};

for (const [stated, theme, system, wanted] of [
  ["", "auto", "dark", "light"],
  ["normal", "auto", "dark", "light"],
  ["light dark", "auto", "dark", "dark"],
  ["light dark", "auto", "light", "light"],
  ["dark", "auto", "light", "dark"],
  ["only light", "auto", "dark", "light"],
  ["light", "dark", "light", "dark"],
  ["dark", "light", "dark", "light"],
] as const) {
  test(`a page of color-scheme "${stated}", theme ${theme}, on a system that is ${system}: ${wanted}`, async () => {
    const device = await ground.device({ colorScheme: system });
    const page = await ground.page(device, ground.person(), { theme });
    await page.evaluate((scheme) => {
      document.documentElement.style.colorScheme = scheme || "normal";
      if (scheme === "") document.documentElement.style.colorScheme = "initial";
    }, stated);
    expect(await isDark(page)).toBe(wanted === "dark");
    if (theme === "auto") {
      for (const other of ["dark", "light"]) {
        await page.evaluate((said) => document.documentElement.setAttribute("data-theme", said), other);
        expect(await isDark(page)).toBe(other === "dark");
      }
    }
    await device.close();
  });
}

test("each variable that is documented does what it says", async () => {
  const user = ground.person();
  const device = await ground.device();
  const page = await ground.page(device, user);
  await ground.send(user, "A", { priority: "urgent", action_url: "/a" });
  await ground.send(user, "B");
  await until(() => badge(page), (text) => text === "2");
  await bell(page).click();
  await until(() => titles(page), (all) => all.length === 2);
  const style = (selector: string, property: string) =>
    page
      .locator(selector)
      .first()
      .evaluate((element, name) => getComputedStyle(element).getPropertyValue(name), property);
  for (const [variable, value, selector, property, seen] of [
    ["accent", "rgb(1, 2, 3)", ".carillon-dot", "background-color", "rgb(1, 2, 3)"],
    ["on-accent", "rgb(1, 2, 4)", ".carillon-count", "color", "rgb(1, 2, 4)"],
    ["surface", "rgb(1, 2, 5)", ".carillon-center", "background-color", "rgb(1, 2, 5)"],
    ["raised", "rgb(1, 2, 6)", ".carillon-tabs [aria-pressed=true]", "background-color", "rgb(1, 2, 6)"],
    ["text", "rgb(1, 2, 7)", ".carillon-item h3", "color", "rgb(1, 2, 7)"],
    ["muted", "rgb(1, 2, 8)", ".carillon-item footer", "color", "rgb(1, 2, 8)"],
    ["line", "rgb(1, 2, 9)", ".carillon-item", "border-bottom-color", "rgb(1, 2, 9)"],
    ["danger", "rgb(1, 2, 10)", ".carillon-badge", "background-color", "rgb(1, 2, 10)"],
    ["on-danger", "rgb(1, 2, 11)", ".carillon-badge", "color", "rgb(1, 2, 11)"],
    ["radius", "3px", ".carillon-tabs button", "border-top-left-radius", "3px"],
    ["shadow", "rgb(0, 0, 0) 1px 2px 3px 0px", ".carillon-center", "box-shadow", `${BLACK} 1px 2px 3px 0px`],
    ["font", "italic 13px serif", ".carillon-item h3", "font-style", "italic"],
    ["font", "italic 13px serif", ".carillon-tabs button", "font-family", "serif"],
    ["font", "italic 13px serif", ".carillon-bell", "font-size", "13px"],
    ["width", "300px", ".carillon-center", "width", "300px"],
    ["layer", "77", ".carillon-center", "z-index", "77"],
    ["layer", "77", ".carillon-toasts", "z-index", "78"],
  ] as const) {
    const before = await style(selector, property);
    expect([variable, before]).not.toEqual([variable, seen]);
    await page.evaluate(([name, said]) => document.documentElement.style.setProperty(`--carillon-${name}`, said), [variable, value] as const);
    expect([variable, selector, await style(selector, property)]).toEqual([variable, selector, seen]);
    await page.evaluate((name) => document.documentElement.style.removeProperty(`--carillon-${name}`), variable);
  }
  const size = (name: string) => page.getByRole("button", { name, exact: true }).evaluate((element) => getComputedStyle(element).fontSize);
  expect(await size("Mark all as read")).toBe(await size("All"));
  await device.close();
});
