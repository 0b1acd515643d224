// A real server on a free port, with a database of its own; pages in a real browser.
//
// CARILLON_TESTS_PROGRAM names the server's program, CHROMIUM the browser (default /usr/bin/chromium).

import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import type { Settings } from "./app/main.tsx";
import { BUILT } from "./build.ts";

const SECRET = "a secret of the browser tests, 32 bytes and more";
const BACKEND = "a back end's token of the browser tests";
const KINDS: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Waits until `look` answers with what it should. */
export async function until<Seen>(look: () => Promise<Seen> | Seen, wanted: (seen: Seen) => boolean, ms = 30_000): Promise<Seen> {
  const end = Date.now() + ms;
  for (;;) {
    const seen = await look();
    if (wanted(seen)) return seen;
    if (Date.now() > end) throw new Error(`still ${JSON.stringify(seen)} after ${ms} ms`);
    await pause(25);
  }
}

export function token(user: string, seconds = 3600): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const said = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, exp: Math.floor(Date.now() / 1000) + seconds })}`;
  return `${said}.${createHmac("sha256", SECRET).update(said).digest("base64url")}`;
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/** The built page, and the service worker beside it. */
async function serve(): Promise<Server> {
  const server = createServer((request, answer) => {
    const path = new URL(request.url ?? "/", "http://x").pathname;
    const file = path === "/carillon-sw.js" ? resolve(import.meta.dirname, "../dist/carillon-sw.js") : join(BUILT, path === "/" ? "index.html" : path);
    try {
      const content = readFileSync(file);
      answer.writeHead(200, { "Content-Type": KINDS[extname(file)] ?? "application/octet-stream" }).end(content);
    } catch {
      answer.writeHead(404).end();
    }
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

export class Ground {
  #process: ChildProcess | null = null;
  #users = 0;

  private constructor(
    readonly browser: Browser,
    private readonly pages: Server,
    private readonly folder: string,
    private readonly port: number,
  ) {}

  static async make(): Promise<Ground> {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
    const ground = new Ground(browser, await serve(), mkdtempSync(join(tmpdir(), "carillon-client-")), await freePort());
    await ground.start();
    return ground;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get site(): string {
    return `http://localhost:${(this.pages.address() as AddressInfo).port}`;
  }

  async start(): Promise<void> {
    const program = process.env.CARILLON_TESTS_PROGRAM;
    if (program === undefined) throw new Error("CARILLON_TESTS_PROGRAM must name the server's program");
    this.#process = spawn(resolve(program), ["serve", "--host", "127.0.0.1", "--port", String(this.port)], {
      cwd: this.folder,
      stdio: "ignore",
      env: {
        // Its settings are those below: a variable that is none would keep it from starting.
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CARILLON_"))),
        CARILLON_SERVER_ENVIRONMENT: "development",
        CARILLON_NOTIFICATIONS_MANDATORY_TYPES: '["security_alert"]',
        JWT_SECRET_KEY: SECRET,
        BACKEND_SERVICE_TOKEN: BACKEND,
      },
    });
    await until(() => fetch(`${this.url}/health/ready`).then(({ ok }) => ok, () => false), (ready) => ready, 30_000);
  }

  async kill(): Promise<void> {
    const process = this.#process;
    if (process === null || process.exitCode !== null) return;
    const ended = new Promise((done) => process.once("exit", done));
    process.kill("SIGKILL");
    await ended;
  }

  async end(): Promise<void> {
    await this.browser.close();
    await this.kill();
    this.pages.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Everybody closes their browsers. */
  async leave(): Promise<void> {
    await Promise.all(this.browser.contexts().map((device) => device.close()));
  }

  /** A person nobody has heard of. */
  person(): string {
    this.#users += 1;
    return `person-${this.#users}`;
  }

  async ask(method: string, path: string, bearer: string, body?: object): Promise<Record<string, unknown>> {
    const answer = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as Record<string, unknown>;
  }

  send(user: string, title: string, more: object = {}): Promise<Record<string, unknown>> {
    return this.ask("POST", "/api/v1/notifications", BACKEND, { user_id: user, type: "order_status", title, message: `About ${title}.`, ...more });
  }

  async unread(user: string): Promise<number> {
    return (await this.ask("GET", "/api/v1/notifications/unread-count", token(user))).unread_count as number;
  }

  async sockets(): Promise<number> {
    const health = (await (await fetch(`${this.url}/health`)).json()) as { total_connections: number };
    return health.total_connections;
  }

  device(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    return this.browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  }

  /** The page, for `user`, on `device`; once it is connected. */
  async page(device: BrowserContext, user: string, more: Partial<Settings> = {}, opened?: Page): Promise<Page> {
    const page = opened ?? (await device.newPage());
    const settings: Settings = {
      url: this.url,
      token: token(user),
      transport: "socketIo",
      words: "en",
      theme: "auto",
      shareSocket: true,
      showPreferences: false,
      namesTypes: true,
      ...more,
    };
    await page.addInitScript((given) => {
      window.settings = given;
    }, settings);
    const feed = { isSeen: false, isThrough: false };
    page.on("websocket", (socket) => {
      if (!socket.url().startsWith(this.url.replace("http", "ws"))) return;
      feed.isSeen = true;
      socket.on("framereceived", ({ payload }) => {
        if (/^43\d*\[|"replay_complete"/.test(payload.toString())) feed.isThrough = true;
      });
    });
    await page.goto(this.site);
    await connected(page);
    // What comes while the server still looks for what was missed counts as missed, and does not ring.
    if (feed.isSeen) await until(() => feed.isThrough, (isThrough) => isThrough);
    else await pause(400);
    return page;
  }
}

export const status = (page: Page): Promise<string> => page.evaluate(() => window.client.connection.getSnapshot().status);
export const connected = (page: Page): Promise<string> => until(() => status(page), (now) => now === "open");
export const bell = (page: Page) => page.locator(".carillon-bell");
export const badge = (page: Page): Promise<string> => page.locator(".carillon-badge").textContent({ timeout: 300 }).catch(() => null).then((text) => text ?? "");
export const titles = (page: Page): Promise<string[]> => page.locator(".carillon-center h3").allTextContents();
/** What screen readers have been told last, by any of the places for that. */
export const spoken = (page: Page): Promise<string[]> => page.locator(".carillon-hidden[role=status]").allTextContents();
/** What has the focus: what it is called. */
export const focused = (page: Page): Promise<string> =>
  page.evaluate(() => {
    const { activeElement: now } = document;
    const described = document.getElementById(now?.getAttribute("aria-describedby") ?? "")?.textContent ?? "";
    return `${now?.getAttribute("aria-label") ?? (now === document.body ? "nothing" : now?.textContent)}${described === "" ? "" : `: ${described}`}`;
  });
export const told = (page: Page): Promise<string[]> => page.evaluate(() => window.told);

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** What axe-core finds fault with. */
export async function faults(page: Page): Promise<string[]> {
  // Not as an element: a page's own policy may allow none.
  await page.evaluate(readFileSync(AXE, "utf8"));
  return page.evaluate(async () => {
    interface Axe {
      run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
    }
    const { violations } = await (window as unknown as { axe: Axe }).axe.run();
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
  });
}
