// The demo page in a real browser, against a running development server.
//
//   node tests/browser/demo.mjs http://127.0.0.1:5002 [directory for screenshots]
//
// CHROMIUM names the browser (default /usr/bin/chromium). playwright-core comes from tests/clients.

import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(new URL("../clients/package.json", import.meta.url));
const { chromium } = require("playwright-core");

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
  try {
    await story();
  } catch (error) {
    check(false, name, String(error.message ?? error).split("\n").slice(0, 6).join(" | "));
  }
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** Everything any page complained about, or asked of anybody else. */
const complaints = [];

function watch(page) {
  page.setDefaultTimeout(30_000);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`page error: ${error.message}`));
  page.on("dialog", (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    if (/^https?:/.test(request.url()) && new URL(request.url()).origin !== origin) complaints.push(`foreign request: ${request.url()}`);
  });
  page.on("websocket", (socket) => {
    if (new URL(socket.url()).host !== new URL(origin).host) complaints.push(`foreign socket: ${socket.url()}`);
  });
  page.on("requestfailed", (request) => {
    // A long poll is cut off when its page, or its owner, hangs up: that is how one hangs up.
    const hungUp = request.url().includes("transport=polling") && request.failure()?.errorText === "net::ERR_ABORTED";
    if (!hungUp) complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
  });
  return page;
}

const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", timezoneId: "Europe/Athens" });
/** The page, connected and authenticated on both sides. */
async function open(facilitator, within = context) {
  const page = watch(await within.newPage());
  await page.goto(`${origin}/?facilitator=${facilitator}`);
  await page.locator('#bell[data-state="online"]').waitFor();
  await page.locator('#server[data-state="online"]').waitFor();
  await page.locator("#wire .event", { hasText: /^pending_notifications$/ }).first().waitFor();
  return page;
}

/** Fills the form and sends; resolves to the answer's outcome and text. */
async function send(page, { name = "Jane Smith", email = "jane@example.com", title = "Morning Meditation", start = "2031-05-06T09:30" } = {}) {
  await page.fill("#f-name", name);
  await page.fill("#f-email", email);
  await page.fill("#f-title", title);
  await page.fill("#f-start", start);
  await page.click("#submit");
  const newest = page.locator("#answers .answer").first();
  await page.locator("#answers .answer:first-child:is(.delivered, .stored, .failed)").waitFor();
  return { outcome: await newest.locator(".outcome").innerText(), text: await newest.innerText() };
}

const unread = async (page) => ((await page.locator("#badge").isHidden()) ? 0 : Number(await page.locator("#badge").innerText()));
const until = (page, condition, argument) => page.waitForFunction(condition, argument);
const badgeIs = (page, count) => until(page, (wanted) => {
  const badge = document.querySelector("#badge");
  return (badge.hidden ? 0 : Number(badge.textContent)) === wanted;
}, count);
const shoot = (page, name, whole = false) => shots && page.screenshot({ path: join(shots, `${name}.png`), fullPage: whole });

/** Reads away whatever earlier runs left, so that counts start at nothing. */
async function readAll(page) {
  for (let left = await unread(page); left > 0; left -= 1) {
    await page.locator("#bookings .mark").first().click();
    await badgeIs(page, left - 1);
  }
}

// ------------------------------------------------------------------------------------------------------------------

await chapter("the page is served", async () => {
  const answer = await context.request.get(`${origin}/`);
  const policy = answer.headers()["content-security-policy"] ?? "";
  check(answer.status() === 200, "the page is served", String(answer.status()));
  check(policy.includes("default-src 'self'") && !policy.includes("unsafe-inline") && !policy.includes("unsafe-eval"), "its content security policy is strict", policy || "none");
  const html = await answer.text();
  check(!/<script(?![^>]*\b(src|type="application\/json"))[^>]*>/.test(html) && !/\sstyle=|<style|\son[a-z]+=/.test(html), "it holds no inline script or style");
  for (const file of ["demo.js", "demo.css", "socket.io.min.js", "favicon.svg"]) {
    const asset = await context.request.get(`${origin}/demo/${file}`);
    check(asset.status() === 200, `/demo/${file} is served`, String(asset.status()));
  }
});

await chapter("a booking rings", async () => {
  const page = await open(2);
  await readAll(page);
  check(await page.locator("#server-text").innerText() === "Server connected", "the page connects by itself");
  check(await page.locator("#bell-status").innerText() === "Listening", "the bell listens");
  await shoot(page, "desktop-start");

  const kept = await page.locator("#bookings .booking").count();
  const answer = await send(page, { name: "Amara Okafor", email: "amara@example.com", title: "Sound Bath" });
  check(answer.outcome === "Delivered", "an online facilitator's booking is answered: delivered", answer.text);
  check(/notification \d+ · \d\d:\d\d:\d\d/.test(answer.text), "the answer shows the notification's id and time", answer.text);
  await page.locator("#belfry.ringing").waitFor({ timeout: 3000 });
  check(true, "the bell rings");
  await badgeIs(page, 1);
  check(await unread(page) === 1, "the badge counts one");
  check(await page.locator("#bookings .booking").count() === kept + 1, "it stands in the list once");
  const item = page.locator("#bookings .booking").first();
  const text = await item.innerText();
  check(text.includes("Amara Okafor booked Sound Bath"), "the newest item says who booked what", text);
  check(text.includes("amara@example.com"), "it shows the e-mail address", text);
  check(/\b6\b.*\bMay\b.*09:30/.test(text), "the start is in local time", text);
  check(text.includes("live") && text.includes("received just now"), "it says how and when it came", text);
  check((await page.locator("#announce").innerText()).includes("Amara Okafor"), "a screen reader is told");
  check((await page.title()).startsWith("(1)"), "the title counts too", await page.title());
  for (const event of ["booking_notification", "notification_delivered", "new_booking_notification"]) {
    check(await page.locator("#wire .event", { hasText: new RegExp(`^${event}$`) }).count() >= 1, `the wire log shows ${event}`);
  }
  const token = JSON.parse(await page.locator("#config").textContent()).backend_token;
  check(!(await page.locator("#wire").textContent()).includes(token), "the wire log does not show tokens");
  check((await page.locator("#code-js").innerText()).includes(origin) && (await page.locator("#code-py").innerText()).includes(origin), "the snippets name this server");
  await shoot(page, "desktop-rung");
  await readAll(page);
  await page.close();
});

await chapter("text stays text", async () => {
  const page = await open(2);
  await readAll(page);
  const name = "<img src=x onerror=\"window.owned=1\">";
  const title = "</script><script>window.owned=1</script><b>bold</b>";
  await send(page, { name, title });
  await badgeIs(page, 1);
  const item = page.locator("#bookings .booking").first();
  const text = await item.innerText();
  check(text.includes(name) && text.includes(title), "markup in a name or a title is shown as it was written", text);
  check(await page.locator("#bookings img, #bookings script, #wire img, #wire script, #wire b").count() === 0, "it makes no elements");
  await page.locator("#wire details").last().locator("summary").click();
  check(await page.evaluate(() => window.owned === undefined), "it runs nothing");
  await readAll(page);
  await page.close();
});

await chapter("offline, stored, back", async () => {
  const page = await open(5);
  await readAll(page);
  await page.click("#online");
  await page.locator('#bell[data-state="closed"]').waitFor();
  check((await page.locator("#online").innerText()).trim() === "Come back", "the switch offers the way back");
  let answer = { outcome: "" };
  for (let tries = 0; tries < 20 && answer.outcome !== "Stored"; tries += 1) {
    // The server hears of the hang-up a moment after the page.
    if (tries) await page.waitForTimeout(100);
    answer = await send(page, { name: `Mei Tanaka ${tries}`, title: "Tai Chi" });
  }
  check(answer.outcome === "Stored", "an absent facilitator's booking is answered: stored", answer.text);
  check(/notification \d+/.test(answer.text), "with its notification id", answer.text);
  check(!(await page.locator("#bookings").innerText()).includes("Mei Tanaka"), "the absent bell does not hear it");
  await shoot(page, "desktop-away");
  await page.click("#online");
  await page.locator("#bookings .booking", { hasText: "Mei Tanaka" }).first().waitFor();
  const text = await page.locator("#bookings .booking").first().innerText();
  check(text.includes("stored while you were away"), "on return it appears, and says that it waited", text);
  check(await unread(page) >= 1, "and counts as unread");
  await shoot(page, "desktop-back");
  await readAll(page);
  await page.reload();
  await page.locator("#wire .event", { hasText: /^pending_notifications$/ }).first().waitFor();
  await page.waitForTimeout(400);
  check(await unread(page) === 0, "what was read does not come again");
  await page.close();
});

await chapter("two tabs", async () => {
  const first = await open(7);
  await readAll(first);
  const second = await open(7);
  await send(first, { name: "Rohan Mehta", title: "Forest Bathing" });
  await Promise.all([badgeIs(first, 1), badgeIs(second, 1)]);
  check((await second.locator("#bookings .booking").first().innerText()).includes("Rohan Mehta"), "both tabs ring");
  await first.locator("#bookings .mark").first().click();
  await Promise.all([badgeIs(first, 0), badgeIs(second, 0)]);
  check((await first.locator("#bookings .booking").first().innerText()).includes("Read"), "marking read empties the badge");
  check((await second.locator("#bookings .booking").first().innerText()).includes("Read"), "in the second tab too");

  await second.selectOption("#facilitator", "2");
  await second.locator('#bell[data-state="online"]').waitFor();
  check(!(await second.locator("#bookings").innerText()).includes("Rohan Mehta"), "another facilitator sees none of it");
  await first.close();
  await second.close();
});

await chapter("by keyboard alone", async () => {
  const page = await open(7);
  await readAll(page);
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);
  const tabTo = async (wanted) => {
    for (let steps = 0; steps < 40; steps += 1) {
      if (await focused() === wanted) return true;
      await page.keyboard.press("Tab");
    }
    return false;
  };
  await page.keyboard.press("Tab");
  check(await focused() === "skip", "the first stop skips to the form", await focused());
  await page.keyboard.press("Enter");
  check(await tabTo("f-name"), "tab reaches the form");
  await page.keyboard.type("Keyboard Visitor");
  await page.keyboard.press("Enter");
  await badgeIs(page, 1);
  check((await page.locator("#bookings .booking").first().innerText()).includes("Keyboard Visitor"), "enter sends the booking");
  check(await tabTo("online"), "tab reaches the switch");
  await page.keyboard.press("Space");
  await page.locator('#bell[data-state="closed"]').waitFor();
  await page.keyboard.press("Space");
  await page.locator('#bell[data-state="online"]').waitFor();
  check(await focused() === "online", "the switch works and keeps the focus");
  check(await tabTo("mark"), "tab reaches “mark as read”");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check(outline !== "none", "the focus can be seen");
  await page.keyboard.press("Enter");
  await badgeIs(page, 0);
  check(await focused() !== "" && await page.evaluate(() => document.activeElement !== document.body), "it is read, and the focus is not lost");
  await page.close();
});

await chapter("connections break", async () => {
  const page = watch(await context.newPage());
  const lines = [];
  await page.routeWebSocket(/socket\.io/, (line) => { line.connectToServer(); lines.push(line); });
  await page.goto(`${origin}/?facilitator=2`);
  // A quick upgrade comes before the answer to connect.
  await page.locator("#wire .remark", { hasText: /facilitator (connected by|upgraded to) websocket/ }).waitFor();
  await page.locator("#wire .remark", { hasText: /back end (connected by|upgraded to) websocket/ }).waitFor();
  await page.locator("#wire .event", { hasText: /^pending_notifications$/ }).first().waitFor();
  await readAll(page);
  lines.forEach((line) => line.close({ code: 3000 }));
  await page.locator('#bell[data-state="lost"]').waitFor();
  await page.click("#submit"); // Before the back end is connected again.
  await page.locator('#bell[data-state="online"]').waitFor();
  await page.locator('#server[data-state="online"]').waitFor();
  check(true, "both connections come back by themselves");
  await page.locator("#answers .answer:is(.delivered, .stored)").waitFor();
  await badgeIs(page, 1);
  check(await page.locator("#bookings .booking").count() === 1, "a booking sent meanwhile rings, once");
  await readAll(page);
  await page.close();
});

await chapter("tokens go stale", async () => {
  const page = watch(await context.newPage());
  await page.addInitScript(() => document.addEventListener("readystatechange", () => { // Parsed, and no script has run yet.
    if (document.readyState !== "interactive") return;
    const config = document.getElementById("config");
    config.textContent = config.textContent.replace(/("(?:token|backend_token)":\s*")/g, "$1stale-");
  }));
  await page.goto(`${origin}/?facilitator=5`);
  await page.locator('#bell[data-state="online"]').waitFor();
  await page.locator('#server[data-state="online"]').waitFor();
  // One refusal is enough when the other connection finds the renewed tokens.
  check(await page.locator("#wire .event", { hasText: /^auth_error$/ }).count() > 0, "refused tokens are renewed without a word from the visitor");
  await page.close();
});

await chapter("every size and scheme", async () => {
  const looks = {
    desktop: { viewport: { width: 1280, height: 800 } },
    phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
    "small-phone": { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true },
    tablet: { viewport: { width: 820, height: 1100 } },
    dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
    "phone-dark": { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: "dark" },
  };
  for (const [name, look] of Object.entries(looks)) {
    const within = await browser.newContext({ locale: "en-GB", ...look });
    const page = await open(5, within);
    await readAll(page);
    await send(page, { name: "Eleni Papadaki", email: "eleni@example.com", title: "Breathwork for Beginners" });
    await send(page, { name: "Bartholomew Featherstonehaugh-Cholmondeley", title: "Anunbrokenwordthatgoesonandonandonandonandonandonandon" });
    await badgeIs(page, 2);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(over <= 0, `${name}: nothing runs off the side`, `${over} px`);
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.waitForTimeout(shots ? 600 : 0);
    await shoot(page, name);
    await shoot(page, `${name}-whole`, true);
    await readAll(page);
    await within.close();
  }
  const still = await browser.newContext({ reducedMotion: "reduce" });
  const page = await open(5, still);
  await send(page);
  await page.locator("#belfry.ringing").waitFor({ timeout: 3000 });
  check(await page.evaluate(() => document.getAnimations().length === 0), "reduced motion: the bell rings without moving");
  await readAll(page);
  await still.close();
});

// The browser reports a violated policy as a console error, so this covers it.
check(complaints.length === 0, "no console errors, policy violations, failed requests or foreign hosts", [...new Set(complaints)].join(" | "));

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
