// Pages that speak raw WebSocket, in a real browser, against a server that is killed under them.
//
//   CARILLON_JWT=… CARILLON_BACKEND=… node tests/browser/raw.mjs http://127.0.0.1:5002
//
// Whoever runs it kills the server at the line `ask: kill`, and starts it again, on the same database, at `ask: start`.
// CHROMIUM names the browser (default /usr/bin/chromium). playwright-core comes from tests/clients.

import { createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const require = createRequire(new URL("../clients/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const [base] = process.argv.slice(2);
const { CARILLON_JWT: secret, CARILLON_BACKEND: backend } = process.env;
const origin = new URL(base).origin;

let failed = 0;
const check = (holds, what, detail = "") => {
  if (!holds) failed += 1;
  console.log(`${holds ? "ok  " : "FAIL"} ${what}${holds || !detail ? "" : `: ${detail}`}`);
};
const equal = (seen, wanted, what) =>
  check(JSON.stringify(seen) === JSON.stringify(wanted), what, `${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`);

async function chapter(name, story) {
  try {
    await story();
  } catch (error) {
    check(false, name, String(error.stack ?? error).split("\n").slice(0, 6).join(" | "));
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
function token(user, seconds = 3600) {
  const said = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: String(user), exp: Math.floor(Date.now() / 1000) + seconds })}`;
  return `${said}.${createHmac("sha256", secret).update(said).digest("base64url")}`;
}

async function ask(method, path, bearer, body) {
  const answer = await fetch(origin + path, {
    method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" },
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}
const send = (to, title, more = {}) =>
  ask("POST", "/api/v1/notifications", backend, { ...to, type: "grade_update", title, message: "It is told.", ...more });

async function killed(meanwhile) {
  console.log("ask: kill");
  for (;;) {
    try { await fetch(`${origin}/health/live`); } catch { break; }
    await pause(20);
  }
  await meanwhile?.();
  console.log("ask: start");
  for (;;) {
    try { if ((await fetch(`${origin}/health/ready`)).ok) return; } catch { /* not yet */ }
    await pause(50);
  }
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext();

// The pages are another server's, as theirs are.
let tokensAsked = 0;
const pages = createServer(({ url }, answer) => {
  const name = /^\/(hub|reminders|campus)\.html/.exec(url)?.[1];
  if (url === "/a-new-token") {
    tokensAsked += 1;
    answer.end(token(5));
  } else {
    answer.setHeader("Content-Type", "text/html");
    answer.end(name ? readFileSync(new URL(`pages/${name}.html`, import.meta.url)) : "");
  }
});
await new Promise((done) => pages.listen(0, "127.0.0.1", done));

/** A page, and what its lines said and heard. */
async function open(name, query) {
  const page = await context.newPage();
  page.setDefaultTimeout(40_000);
  const told = { said: [], heard: [], urls: [] };
  page.on("pageerror", (error) => check(false, `${name} has no errors`, error.message));
  page.on("websocket", (line) => {
    told.urls.push(new URL(line.url()));
    line.on("framesent", ({ payload }) => told.said.push(JSON.parse(payload)));
    line.on("framereceived", ({ payload }) => told.heard.push(JSON.parse(payload)));
  });
  const more = new URLSearchParams({ ...query, server: new URL(origin).host });
  await page.goto(`http://127.0.0.1:${pages.address().port}/${name}.html?${more}`);
  return { page, told };
}
/** Waits until nothing that this person has is unconfirmed. */
async function confirmed(user) {
  for (;;) {
    const { notifications } = await ask("GET", "/api/v1/notifications?limit=100", token(user));
    if (notifications.every(({ status }) => status !== "pending")) return;
    await pause(100);
  }
}
const value = (page, id, wanted) =>
  page.waitForFunction(([id, wanted]) => document.getElementById(id).value === wanted, [id, wanted]);
const items = (page, list = "list") => page.locator(`#${list} li`).allInnerTexts();
const many = (page, count, list = "list") =>
  page.waitForFunction(([list, count]) => document.querySelectorAll(`#${list} li`).length >= count, [list, count]);

await chapter("the hub's page", async () => {
  const { page, told } = await open("hub", { token: token(2), channel: "iep_updates" });
  await value(page, "line", "open");
  await page.waitForFunction(() => document.getElementById("pong").value !== "");
  check(told.said[0].type === "ping", "it says ping, and is answered");
  await many(page, 1, "answers");
  equal(await items(page, "answers"), ["subscription_confirmed iep_updates"], "its topic is confirmed");
  await send({ user_id: 2 }, "To one", { action_url: "/grades" });
  await send({ topic: "iep_updates" }, "To the topic");
  await many(page, 2);
  equal(await items(page), ["To one: It is told. (grade_update, /grades)", "To the topic: It is told. (grade_update, no link)"],
    "it shows what is for its person and for its topic");
  await page.locator("#list li").first().click();
  await many(page, 2, "answers");
  const first = await page.locator("#list li").first().getAttribute("data-id");
  equal((await items(page, "answers"))[1], `read_confirmation ${first}`, "what is clicked is read");
  equal((await ask("GET", `/api/v1/notifications/${first}`, token(2))).status, "read", "the server knows it");
  await killed();
  await value(page, "line", "closed 1006");
  // While nobody looks.
  await send({ user_id: 2 }, "Meanwhile");
  await page.reload();
  await page.waitForFunction(() => [...document.querySelectorAll("#list li")].some((item) => item.textContent.startsWith("Meanwhile")));
  check((await items(page)).every((item) => !item.startsWith("To one")), "what was read does not come again");
  await page.close();
});

for (const keep of ["replay_id", "id"]) {
  await chapter(`a page of reminders that keeps ${keep}`, async () => {
    const user = keep === "id" ? 4 : 3;
    const { page, told } = await open("reminders", { token: token(user), keep });
    await value(page, "line", "open");
    const titles = [];
    const tell = async (count, when) => {
      for (let number = 0; number < count; number += 1) {
        const title = `${when} ${number}`;
        await send({ user_id: user }, title);
        titles.push(title);
      }
    };
    await tell(5, "before");
    await many(page, 5);
    await page.waitForFunction(() => Number(document.getElementById("hearts").value) >= 2);
    check(told.said.filter(({ type }) => type === "pong").length >= 2, "hearts are answered");
    for (let round = 1; round <= 2; round += 1) {
      await killed();
      // Some of them before it is back, some after.
      await tell(10, `away ${round}`);
      await value(page, "opened", String(1 + round));
      await tell(5, `back ${round}`);
      await many(page, titles.length);
      equal(await items(page), titles, `nothing is missing, nothing comes twice (kill ${round}, keeping ${keep})`);
    }
    const last = told.heard.filter(({ id }) => id).map((message) => message[keep]);
    const asked = told.urls.map((url) => url.searchParams.get("replay_from"));
    check(asked[0] === null && asked.slice(1).every((from) => last.includes(from)), "it came back with what it had last", asked.join());
    check(told.heard.every(({ id, type }) => id || type === "heartbeat"), "nothing else was said");
    await page.close();
  });
}

await chapter("a page whose token is refused", async () => {
  await send({ user_id: 5 }, "For who is known");
  const { page } = await open("reminders", { token: token(5, -100) });
  await value(page, "opened", "2");
  await many(page, 1);
  equal([tokensAsked, await items(page)], [1, ["For who is known"]], "it is told by 1008, gets another token, and is let in");
  await page.close();
});

await chapter("the campus's page", async () => {
  const { page, told } = await open("campus", { token: token(6) });
  await value(page, "line", "open");
  const titles = [];
  const tell = async (title) => { await send({ user_id: 6 }, title); titles.push(title); };
  await tell("First");
  await many(page, 1);
  // Heartbeats would be shown by now, if it had any; and a pong has confirmed what was shown.
  await confirmed(6);
  equal(await items(page), ["grade_update: First"], "it shows notifications, and nothing else");
  await killed(() => page.locator("#read").click());
  for (let number = 0; number < 8; number += 1) await tell(`Away ${number}`);
  await value(page, "line", "open");
  await tell("Back");
  await many(page, titles.length);
  await confirmed(6);
  // Newest first; what was not confirmed when the server was killed may come again, by the same id.
  const shown = await page.locator("#list li").evaluateAll((all) => all.map((item) => [item.dataset.id, item.textContent]));
  const once = [...new Map(shown.reverse()).values()];
  equal(once, titles.map((title) => `grade_update: ${title}`), "nothing is missing, in order");
  equal(shown.length, once.length, "what a pong has confirmed does not come again");
  check(told.said.some(({ type }) => type === "ack"), "what it had to say while there was no line is said");
  check(told.urls.every((url) => url.pathname === "/api/v1/notifications/ws"), "by its own door");
  await page.close();
});

await browser.close();
process.exit(failed ? 1 : 0);
