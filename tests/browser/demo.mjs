// The demo page in a real browser, against a running development server.
//
//   node tests/browser/demo.mjs http://127.0.0.1:5002 [directory for screenshots]
//
// CHROMIUM names the browser (default /usr/bin/chromium). playwright-core and axe-core come from tests/clients.

import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(new URL("../clients/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const AXE = require.resolve("axe-core/axe.min.js");

const [base, shots] = process.argv.slice(2);
if (!base) {
  console.error("usage: node demo.mjs <base url> [screenshot directory]");
  process.exit(2);
}
const origin = new URL(base).origin;
if (shots) mkdirSync(shots, { recursive: true });

let passed = 0;
let failed = 0;
const check = (holds, what, detail = "") => {
  if (holds) passed += 1;
  else failed += 1;
  console.log(`${holds ? "ok  " : "FAIL"} ${what}${holds || !detail ? "" : `: ${detail}`}`);
};

/** A chapter that breaks off counts as one failure; the next begins with a page of its own. */
async function chapter(name, story) {
  if (process.env.CHAPTER && !name.includes(process.env.CHAPTER)) return;
  try {
    await story();
  } catch (error) {
    check(false, name, String(error.stack ?? error).split("\n").filter((line) => !line.includes("node_modules")).slice(0, 8).join(" | "));
  }
  // What broke off must not hold the socket that tabs share.
  for (const page of context.pages()) await page.close();
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** Everything any page complained about, or asked of anybody else. */
const complaints = [];

/** `expected` tells which of the failures are part of the story. */
function watch(page, expected = () => false) {
  page.setDefaultTimeout(30_000);
  const complain = (what) => { if (!expected(what)) complaints.push(what); };
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complain(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complain(`page error: ${error.message}`));
  page.on("dialog", (dialog) => { complain(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    if (/^https?:/.test(request.url()) && new URL(request.url()).origin !== origin) complain(`foreign request: ${request.url()}`);
  });
  page.on("websocket", (socket) => {
    if (new URL(socket.url()).host !== new URL(origin).host) complain(`foreign socket: ${socket.url()}`);
  });
  page.on("requestfailed", (request) => {
    // What a page still asks when it is left, it hangs up on.
    if (request.failure()?.errorText !== "net::ERR_ABORTED") complain(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complain(`${response.status()}: ${response.url()}`);
  });
  return page;
}

const [AMARA, BJORN] = [2, 5];
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", timezoneId: "Europe/Athens" });

const side = (page, person) => page.locator(`#person-${person}`);
const bell = (page, person) => side(page, person).locator(".carillon-bell");
const items = (page, person) => side(page, person).locator(".side-body article");
const toasts = (page, person) => side(page, person).locator(".carillon-toast");
const listens = (page, person) => page.locator(`#person-${person}[data-state="open"]`).waitFor();
const step = (page, name, happened) => page.locator(`#timeline [data-step="${name}"][data-happened="${happened}"]`).first();
const answer = (page, outcome) => page.locator(`#answers .answer:first-child[data-outcome="${outcome}"]`);
const shoot = (page, name, whole = false) => shots && page.screenshot({ path: join(shots, `${name}.png`), fullPage: whole });

async function until(condition, what, ms = 20_000) {
  for (const end = Date.now() + ms; ;) {
    const seen = await condition();
    if (seen === true) return;
    if (Date.now() > end) throw new Error(`${what}: still ${JSON.stringify(seen)}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

const unread = async (page, person) => Number((await bell(page, person).getAttribute("aria-label")).match(/\d+/)?.[0] ?? 0);
const badgeIs = (page, person, count) => until(async () => {
  const now = await unread(page, person);
  return now === count || now;
}, `${person}'s unread ones are ${count}`);

async function settled(page) {
  await Promise.all([listens(page, AMARA), listens(page, BJORN)]);
  // What comes while the server still looks for what was missed counts as missed, and does not ring.
  await page.waitForTimeout(400);
}

/** The page, with both people connected. */
async function open(within = context, expected = undefined) {
  const page = watch(await within.newPage(), expected);
  await page.goto(origin);
  await settled(page);
  return page;
}

/** Fills the form with free text, and sends. */
async function send(page, { to = String(AMARA), title = "Order shipped", message = "It is on its way.", type = "order_status" } = {}) {
  await page.selectOption("#f-to", to);
  await page.fill("#f-title", title);
  await page.fill("#f-message", message);
  await page.fill("#f-type", type);
  const before = await page.locator("#answers .answer").first().getAttribute("data-id", { timeout: 100 }).catch(() => null);
  await page.click("#submit");
  const first = page.locator("#answers .answer").first();
  await until(async () => {
    const [id, outcome] = [await first.getAttribute("data-id"), await first.getAttribute("data-outcome")];
    return (outcome === "refused" || (id !== null && id !== before)) || outcome;
  }, "the server answers");
  return { outcome: await first.getAttribute("data-outcome"), text: await first.innerText() };
}

/** Reads away whatever earlier chapters left, so that counts start at nothing. */
async function readAll(page) {
  for (const person of [AMARA, BJORN]) {
    const all = side(page, person).locator(".side-body").getByRole("button", { name: "Mark all as read" });
    if (await all.isEnabled()) await all.click();
    await badgeIs(page, person, 0);
  }
}

/** What axe-core finds fault with. */
async function faults(page) {
  // By the debugger, not by a script element: the policy of the page is as strict for this as for anything else.
  const { readFileSync } = await import("node:fs");
  await page.evaluate(readFileSync(AXE, "utf8"));
  return page.evaluate(async () => {
    const { violations } = await window.axe.run();
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`));
  });
}

// ------------------------------------------------------------------------------------------------------------------

await chapter("the page is served", async () => {
  const answered = await context.request.get(`${origin}/`);
  const policy = answered.headers()["content-security-policy"] ?? "";
  check(answered.status() === 200, "the page is served", String(answered.status()));
  check(policy.includes("default-src 'self'") && !policy.includes("unsafe-inline") && !policy.includes("unsafe-eval"), "its content security policy is strict", policy || "none");
  const html = await answered.text();
  check(!/<script(?![^>]*\b(src|type="application\/json"))[^>]*>/.test(html) && !/\sstyle=|<style|\son[a-z]+=/.test(html), "it holds no inline script or style");
  for (const file of ["demo.js", "demo.css", "favicon.svg", "licenses.txt"]) {
    const asset = await context.request.get(`${origin}/demo/${file}`);
    check(asset.status() === 200, `/demo/${file} is served`, String(asset.status()));
  }
  const licences = await (await context.request.get(`${origin}/demo/licenses.txt`)).text();
  check(["react-dom ", "react ", "scheduler ", "socket.io-client ", "engine.io-client "].every((name) => licences.includes(`\n${name}`)), "with the licences of what it is made of");
});

await chapter("a bell rings", async () => {
  const page = await open();
  await readAll(page);
  check(await page.locator("#server").innerText() === "Server connected", "the page connects by itself");
  check((await side(page, AMARA).locator(".side-state").innerText()).trim() === "Listening", "the bell listens");
  await shoot(page, "desktop-start");

  const kept = await items(page, AMARA).count();
  const { outcome, text } = await send(page, { title: "Order 1041 was shipped", message: "On Thursday." });
  check(outcome === "sent", "to somebody who is connected it is sent at once", text);
  check(/#\d+ · [\d.]+ ms/.test(text), "the answer shows the notification's number and how long it took", text);
  await side(page, AMARA).locator('.carillon-bell[data-rings="true"]').waitFor({ timeout: 3000 }).catch(() => {});
  await badgeIs(page, AMARA, 1);
  check(await unread(page, AMARA) === 1 && await unread(page, BJORN) === 0, "the bell counts one, and only for the one it is for");
  check((await toasts(page, AMARA).first().innerText()).includes("Order 1041 was shipped"), "a toast shows it");
  check(await toasts(page, BJORN).count() === 0, "and to nobody else");
  check(await items(page, AMARA).count() === Math.min(20, kept) + 1 || await items(page, AMARA).count() === 20, "it stands in the list once", String(await items(page, AMARA).count()));
  const item = await items(page, AMARA).first().innerText();
  check(item.includes("Order 1041 was shipped") && item.includes("On Thursday.") && item.includes("now"), "the newest item says what came, and when", item);
  const told = side(page, AMARA).getByRole("status").filter({ hasText: "Order 1041 was shipped" });
  await told.first().waitFor({ state: "attached" });
  check(await told.count() === 1, "a screen reader is told, once", String(await told.count()));
  check((await page.title()).startsWith("(1)"), "the title counts too", await page.title());

  for (const name of ["accepted", "stored", "sent", "confirmed"]) await step(page, name, "yes").waitFor();
  check(await step(page, "read", "no").count() === 1, "the timeline says: accepted, stored, sent, confirmed, not read");
  await bell(page, AMARA).click();
  const centre = side(page, AMARA).getByRole("dialog");
  check((await centre.locator("article").first().innerText()).includes("Order 1041"), "the bell opens the centre");
  await centre.getByRole("button", { name: "Mark as read" }).first().click();
  await badgeIs(page, AMARA, 0);
  await step(page, "read", "yes").waitFor();
  check(true, "once it is read, the timeline says so by itself");
  await centre.getByRole("button", { name: "Close" }).click();

  for (const event of ["notification", "ack", "notificationStatus"]) {
    check(await page.locator("#wire .event", { hasText: new RegExp(`^${event}$`) }).count() >= 1, `the wire log shows ${event}`);
  }
  const { backend_token: token, people } = JSON.parse(await page.locator("#config").textContent());
  const shown = await page.locator("body").innerText();
  check([token, ...people.map((person) => person.token)].every((secret) => !shown.includes(secret)), "the page shows no tokens");
  check((await page.locator("#code-stock").innerText()).includes(origin) && (await page.locator("#code-send").innerText()).includes(origin), "the snippets name this server");
  await shoot(page, "desktop-rung", true);
  await page.close();
});

await chapter("text stays text", async () => {
  const page = await open();
  await readAll(page);
  const title = "<img src=x onerror=\"window.owned=1\">";
  const message = "</script><script>window.owned=1</script><b>bold</b>";
  await send(page, { title, message });
  await badgeIs(page, AMARA, 1);
  const text = await items(page, AMARA).first().innerText();
  check(text.includes(title) && text.includes(message), "markup in a title or a text is shown as it was written", text);
  check(await page.locator("main img, main script, article b, #wire b, .carillon-toast b").count() === 0, "it makes no elements");
  check(await page.evaluate(() => window.owned === undefined), "it runs nothing");
  await readAll(page);
  await page.close();
});

await chapter("offline, stored, back", async () => {
  const page = await open();
  await readAll(page);
  const toggle = side(page, BJORN).locator(".switch");
  await toggle.click();
  await page.locator(`#person-${BJORN}[data-state="away"]`).waitFor();
  check((await toggle.innerText()).includes("Come back"), "the switch offers the way back");
  let tries = 0;
  let last = { outcome: "" };
  for (; tries < 20 && last.outcome !== "stored"; tries += 1) {
    // The server hears of the hang-up a moment after the page.
    if (tries) await page.waitForTimeout(100);
    last = await send(page, { to: String(BJORN), title: `While away ${tries}` });
  }
  check(last.outcome === "stored", "what is for somebody who is absent is stored", last.text);
  await step(page, "confirmed", "no").waitFor();
  check(!(await side(page, BJORN).innerText()).includes("While away"), "the absent bell does not hear it");
  check(await page.locator('#steps [data-step="store"]').getAttribute("data-state") === "done", "the tour has noticed");
  await shoot(page, "desktop-away");
  await toggle.click();
  await items(page, BJORN).filter({ hasText: `While away ${tries - 1}` }).waitFor();
  await badgeIs(page, BJORN, tries);
  check(true, "on return it is there, and counts as unread");
  await step(page, "confirmed", "yes").waitFor();
  check(await page.locator('#steps [data-step="return"]').getAttribute("data-state") === "done", "and the timeline says that a device has it");
  await shoot(page, "desktop-back");
  await readAll(page);
  await page.reload();
  await settled(page);
  check(await unread(page, BJORN) === 0 && await toasts(page, BJORN).count() === 0, "what was read does not come again");
  await page.close();
});

await chapter("everybody", async () => {
  const page = await open();
  await readAll(page);
  const { outcome, text } = await send(page, { to: "everybody", title: "The office closes at three" });
  check(outcome === "spread", "a broadcast is answered when it is on disk", text);
  await Promise.all([badgeIs(page, AMARA, 1), badgeIs(page, BJORN, 1)]);
  check((await items(page, BJORN).first().innerText()).includes("The office closes"), "and reaches both");
  await readAll(page);
  await page.close();
});

await chapter("templates", async () => {
  // What a form that lacks something would say cannot be told.
  let lacks = false;
  const page = await open(context, (what) => lacks && (what.endsWith("/preview") || what.includes("422")));
  await readAll(page);
  await page.selectOption("#f-to", String(BJORN));
  const offered = await page.locator("#f-what option").evaluateAll((all) => all.map(({ value }) => value));
  check(offered.includes("grade_update") && offered.includes("iep_meeting_reminder"), "the built-in templates are offered", offered.join());
  for (const name of offered.filter((one) => one !== "")) {
    await page.selectOption("#f-what", name);
    await page.waitForTimeout(350);
    const says = page.locator("#says b");
    await says.waitFor();
    check((await says.innerText()).length > 3, `${name}: its example can be said`);
  }
  await page.selectOption("#f-what", "grade_update");
  check(await page.locator(".variables input[required]").evaluateAll((all) => all.map(({ name }) => name).join()) === "grade", "the form asks for what the template needs");
  await page.selectOption("#f-locale", "el");
  await page.locator(".variables").locator('input[name="course_name"]').fill("Γεωγραφία");
  await page.locator("#says", { hasText: "Ανακοίνωση βαθμού: Γεωγραφία" }).waitFor();
  check(true, "what it will say stands there before it is sent, in Greek");
  check(await page.locator("#f-push").isChecked() && !await page.locator("#f-sms").isChecked(), "the template's channels are chosen");
  lacks = true;
  await page.locator('.variables input[name="grade"]').fill("");
  await page.click("#submit");
  await page.locator("#says", { hasNot: page.locator("b") }).waitFor();
  check(await page.locator("#answers .answer").count() === 0, "without what it needs nothing is sent");
  await page.locator('.variables input[name="grade"]').fill("92");
  await page.locator("#says b").waitFor();
  lacks = false;
  await shoot(page, "desktop-template");
  await page.click("#submit");
  await badgeIs(page, BJORN, 1);
  check((await items(page, BJORN).first().innerText()).includes("Γεωγραφία"), "and it comes as it was said");
  await readAll(page);
  await page.close();
});

await chapter("preferences", async () => {
  const page = await open();
  await readAll(page);
  const amara = side(page, AMARA);
  await amara.getByRole("button", { name: "Settings" }).first().click();
  const here = amara.getByLabel("Newsletter: Here");
  await here.waitFor();
  await here.uncheck();
  await amara.getByText("Saved.").waitFor();
  await shoot(page, "desktop-preferences");
  await amara.getByRole("button", { name: "Inbox" }).click();
  await send(page, { to: "everybody", title: "What is new in May", type: "newsletter" });
  await badgeIs(page, BJORN, 1);
  await page.locator("#timeline", { hasText: "switched off" }).waitFor();
  check(await unread(page, AMARA) === 0, "what is switched off does not ring; the timeline says why");
  await amara.getByRole("button", { name: "Settings" }).first().click();
  await here.check();
  await amara.getByText("Saved.").waitFor();
  await amara.getByRole("button", { name: "Inbox" }).click();
  await readAll(page);
  await page.close();
});

await chapter("other channels", async () => {
  const page = await open();
  await readAll(page);
  await page.selectOption("#f-priority", "urgent");
  await page.check("#f-email");
  await page.check("#f-sms");
  await page.click("#contacts");
  await page.getByText("Both can be reached.").waitFor();
  await side(page, AMARA).locator(".switch").click();
  // The server hears of the hang-up a moment after the page; until then she might have it here.
  await until(async () => (await (await context.request.get(`${origin}/health`)).json()).total_connections === 1, "she has hung up");
  await send(page, { title: "Somebody signed in", type: "security_alert" });
  for (const channel of ["E-mail", "Text message"]) {
    await page.locator('#timeline li[data-happened="yes"]', { hasText: channel }).first().waitFor();
    check(true, `${channel}: the timeline says by itself that it has gone out`);
  }
  await shoot(page, "desktop-channels", true);
  await side(page, AMARA).locator(".switch").click();
  await listens(page, AMARA);
  await badgeIs(page, AMARA, 1);
  await readAll(page);
  await page.close();
});

await chapter("two tabs", async () => {
  const first = await open();
  await readAll(first);
  const second = await open();
  await send(first, { to: String(BJORN), title: "In both tabs" });
  await Promise.all([badgeIs(first, BJORN, 1), badgeIs(second, BJORN, 1)]);
  check((await items(second, BJORN).first().innerText()).includes("In both tabs"), "both tabs ring");
  await items(first, BJORN).first().getByRole("button", { name: "Mark as read" }).click();
  await Promise.all([badgeIs(first, BJORN, 0), badgeIs(second, BJORN, 0)]);
  check(await items(second, BJORN).first().getAttribute("data-unread") === "false", "what is read in one is read in the other");
  check(!(await side(second, AMARA).locator(".side-body").innerText()).includes("In both tabs"), "the other person sees none of it");
  await first.close();
  await second.close();
});

await chapter("by keyboard alone", async () => {
  const page = await open();
  await readAll(page);
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);
  const tabTo = async (wanted) => {
    for (let steps = 0; steps < 80; steps += 1) {
      if ((await focused()).includes(wanted)) return true;
      await page.keyboard.press("Tab");
    }
    return false;
  };
  await page.keyboard.press("Tab");
  check(await focused() === "skip", "the first stop skips to the form", await focused());
  await page.keyboard.press("Enter");
  check(await tabTo("f-title"), "tab reaches the form");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("By keyboard");
  await page.keyboard.press("Enter");
  await badgeIs(page, AMARA, 1);
  check((await items(page, AMARA).first().innerText()).includes("By keyboard"), "enter sends");
  check(await tabTo("switch"), "tab reaches the switch");
  await page.keyboard.press("Space");
  await page.locator(`#person-${AMARA}[data-state="away"]`).waitFor();
  await page.keyboard.press("Space");
  await listens(page, AMARA);
  check((await focused()).includes("switch"), "the switch works and keeps the focus", await focused());
  await badgeIs(page, AMARA, 1);
  check(await tabTo("carillon-bell"), "tab reaches the bell");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check(outline !== "none", "the focus can be seen");
  await page.keyboard.press("Enter");
  await side(page, AMARA).getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  check((await focused()).includes("carillon-bell"), "the bell opens the centre, escape closes it, and the focus is back", await focused());
  await items(page, AMARA).first().waitFor();
  check(await tabTo("why"), "tab reaches the way to the timeline");
  await page.keyboard.press("Enter");
  await step(page, "confirmed", "yes").waitFor();
  check((await focused()).includes("why"), "which shows it, and keeps the focus");
  await readAll(page);
  await page.close();
});

await chapter("connections break", async () => {
  const page = await context.newPage();
  watch(page, (what) => what.includes("/api/v1/notifications") || what.includes("Failed to load resource"));
  const lines = [];
  await page.routeWebSocket(/socket\.io/, (line) => { line.connectToServer(); lines.push(line); });
  await page.goto(origin);
  await settled(page);
  await readAll(page);
  // The server takes what is sent, and its answer is lost on the way.
  let lost = 0;
  await page.route("**/api/v1/notifications", async (route) => {
    if (route.request().method() !== "POST" || lost > 0) return route.continue();
    lost += 1;
    await route.fetch();
    return route.abort("connectionreset");
  });
  lines.forEach((line) => line.close({ code: 3000 }));
  await page.locator(`#person-${AMARA}[data-state="lost"]`).waitFor();
  const title = `Sent into the dark at ${Date.now()}`;
  await page.fill("#f-title", title);
  await page.click("#submit");
  await Promise.all([listens(page, AMARA), listens(page, BJORN)]);
  check(true, "both connections come back by themselves");
  await page.locator("#answers .answer[data-id]").waitFor();
  check(lost === 1, "what got no answer is sent again by itself");
  await badgeIs(page, AMARA, 1);
  await page.waitForTimeout(500);
  check(await items(page, AMARA).filter({ hasText: title }).count() === 1 && await unread(page, AMARA) === 1, "what was sent meanwhile is there, once");
  check(await page.locator('#steps [data-step="restart"]').getAttribute("data-state") === "done", "the tour has noticed");
  await readAll(page);
  await page.close();
});

await chapter("tokens go stale", async () => {
  const page = watch(await context.newPage(), (what) => what.includes("401"));
  await page.addInitScript(() => document.addEventListener("readystatechange", () => { // Parsed, and no script has run yet.
    if (document.readyState !== "interactive") return;
    const config = document.getElementById("config");
    config.textContent = config.textContent.replace(/("(?:token|backend_token)":\s*")/g, "$1stale-");
  }));
  await page.goto(origin);
  await settled(page);
  const { outcome } = await send(page, { title: "With new tokens" });
  check(outcome === "sent", "refused tokens are renewed without a word from the visitor", outcome);
  await badgeIs(page, AMARA, 1);
  await readAll(page);
  await page.close();
});

await chapter("every size, scheme and language", async () => {
  const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
  const looks = {
    desktop: { viewport: { width: 1440, height: 900 } },
    "desktop-dark-greek": { viewport: { width: 1280, height: 800 }, colorScheme: "dark", locale: "el-GR" },
    tablet: { viewport: { width: 820, height: 1100 } },
    phone,
    "phone-dark-spanish": { ...phone, colorScheme: "dark", locale: "es-MX" },
    "small-phone": { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true },
  };
  for (const [name, look] of Object.entries(looks)) {
    const within = await browser.newContext({ locale: "en-GB", reducedMotion: "reduce", ...look });
    const page = await open(within);
    for (const text of ["Breathwork for beginners is fully booked", "Anunbrokenwordthatgoesonandonandonandonandonandonandon"]) await send(page, { to: "everybody", title: text });
    await page.locator("#timeline [data-step]").first().waitFor();
    await items(page, BJORN).filter({ hasText: "Anunbroken" }).first().waitFor();
    const over = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(await over() <= 0, `${name}: nothing runs off the side`, `${await over()} px`);
    const found = await faults(page);
    check(found.length === 0, `${name}: axe finds nothing`, found.join(" | "));
    check(await page.evaluate(() => document.documentElement.lang) === (look.locale ?? "en").slice(0, 2), `${name}: it speaks the browser's language`);
    await page.evaluate(() => window.scrollTo(0, 0));
    await shoot(page, name);
    await shoot(page, `${name}-whole`, true);

    await bell(page, AMARA).click();
    const centre = side(page, AMARA).getByRole("dialog");
    await centre.locator("article").first().waitFor();
    const box = await centre.boundingBox();
    const inside = look.isMobile ? { x: 0, width: look.viewport.width } : await side(page, AMARA).boundingBox();
    check(box.x >= inside.x - 1 && box.x + box.width <= inside.x + inside.width + 1, `${name}: the centre stays ${look.isMobile ? "on the page" : "at its person's side"}`, JSON.stringify([box, inside]));
    check((await faults(page)).length === 0, `${name}: nor in the centre`);
    await shoot(page, `${name}-centre`);
    await centre.locator("header button").last().click();
    await page.selectOption("#f-what", "iep_meeting_reminder");
    await page.locator("#says b").waitFor();
    await side(page, BJORN).locator(".views button").last().click();
    await side(page, BJORN).locator(".side-body table").waitFor();
    const more = await faults(page);
    check(more.length === 0 && await over() <= 0, `${name}: nor with a template and settings`, more.join(" | "));
    await shoot(page, `${name}-template-whole`, true);
    await within.close();
  }
  const page = await open();
  await page.selectOption("#language", "el");
  await page.getByRole("heading", { name: "Ένα αίτημα. Χτυπά το σωστό κουδούνι." }).waitFor();
  await side(page, AMARA).getByRole("button", { name: "Σήμανση όλων ως αναγνωσμένων" }).waitFor();
  check(await page.evaluate(() => document.documentElement.lang) === "el", "the language can be switched: page and package speak Greek");
  await page.selectOption("#look", "dark");
  check(await page.evaluate(() => getComputedStyle(document.body).backgroundColor) === "rgb(19, 21, 27)", "and so can the colours");
  await page.reload();
  await settled(page);
  check(await page.locator("#language").inputValue() === "el" && await page.locator("#look").inputValue() === "dark", "both outlive a reload");
  await page.selectOption("#language", "en");
  await page.selectOption("#look", "system");
  await page.close();

  const still = await browser.newContext({ reducedMotion: "reduce", locale: "en-GB" });
  const calm = await open(still);
  await send(calm);
  await toasts(calm, AMARA).first().waitFor();
  check(await calm.evaluate(() => document.getAnimations().length === 0), "reduced motion: the bell rings without moving");
  await readAll(calm);
  await still.close();
});

// The browser reports a violated policy as a console error, so this covers it.
check(complaints.length === 0, "no console errors, policy violations, failed requests or foreign hosts", [...new Set(complaints)].join(" | "));

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
