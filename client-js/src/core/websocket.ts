import { type Closing, type Ears, type Link, STANDINGS, type Transport } from "./transport.js";
import { fields, fromFrame, text } from "./wire.js";

/** After so much silence the server is asked for a word. */
const SILENCE_MS = 40_000;
/** How long it may take to say one. */
const PATIENCE_MS = 10_000;

/** What is used of a `WebSocket`: a browser's, or the one of the package `ws`. */
export interface RawSocket {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

export interface WebSocketOptions {
  /** Another implementation, where the platform has none: Node has one from version 22 on. */
  readonly WebSocket?: new (url: string) => RawSocket;
}

/** Raw WebSockets, at `/ws/notify`: no other package is needed in browsers, and in Node from version 22 on. */
export function webSocket(options: WebSocketOptions = {}): Transport {
  return {
    check() {
      if (options.WebSocket !== undefined || typeof WebSocket !== "undefined") return;
      throw new TypeError(
        "This platform has no WebSocket (Node has one from version 22 on). Pass one, " +
          '`connect({ transport: webSocket({ WebSocket }) })` with that of the package "ws", or use `socketIo(io)`.',
      );
    },
    open({ url, token, since }, ears) {
      const address = new URL(`${url}/ws/notify`);
      address.protocol = address.protocol.replace("http", "ws");
      address.searchParams.set("token", token);
      address.searchParams.set("events", "all");
      if (since !== null) address.searchParams.set("replay_from", since);
      return new RawLink(new (options.WebSocket ?? WebSocket)(address.href), ears);
    },
  };
}

const WHY: Readonly<Record<number, Closing["reason"]>> = { 1008: "token", 4001: "token", 1013: "busy" };

class RawLink implements Link {
  #isOver = false;
  #isOpen = false;
  #isBehind = true;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly socket: RawSocket,
    private readonly ears: Ears,
  ) {
    this.#wait(PATIENCE_MS * 2, () => this.#end({ reason: "lost", detail: "no answer to the handshake" }));
    socket.onopen = () => this.#ask();
    socket.onmessage = ({ data }: { readonly data: unknown }) => this.#message(data);
    // What went wrong is told by its end, which follows; without a listener `ws` would throw.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }: { readonly code: number; readonly reason: string }) => this.#end({ reason: WHY[code] ?? "lost", detail: reason || `closed with ${code}` });
  }

  authenticate(token: string): void {
    this.#say({ type: "authenticate", token });
  }

  received(id: string): void {
    this.#say({ type: "ack", message_id: id });
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.socket.close(1000);
  }

  #message(data: unknown): void {
    if (this.#isOver) return;
    this.#wait(SILENCE_MS, () => this.#ask());
    let frame = fields(null);
    try {
      frame = fields(JSON.parse(text(data)));
    } catch {
      return;
    }
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.ears.opened();
    }
    if (frame.id !== undefined) return this.#notification(frame);
    switch (frame.type) {
      case "heartbeat":
        return this.#say({ type: "pong" });
      case "replay_complete":
        this.#isBehind = false;
        return;
      case "notification_status": {
        const standing = STANDINGS[text(frame.status)];
        // With a `user_id` it is about a notification of somebody else's, which this person sent.
        if (standing !== undefined && frame.user_id === undefined) this.ears.stands(text(frame.notification_id) || null, standing);
        return;
      }
      case "replay_truncated":
        return this.ears.truncated();
      case "error":
        if (frame.error === "Invalid token") return this.#end({ reason: "token", detail: text(frame.detail) });
        if (frame.error !== "Notification not found") this.ears.complained(text(frame.error), text(frame.detail));
    }
  }

  #notification(frame: Readonly<Record<string, unknown>>): void {
    const notification = fromFrame(frame);
    if (notification === null) return;
    this.ears.notification(notification, this.#isBehind);
    this.ears.reached(notification.id);
  }

  #ask(): void {
    this.#say({ type: "ping" });
    this.#wait(PATIENCE_MS, () => this.#end({ reason: "lost", detail: "the server says nothing any more" }));
  }

  #say(message: object): void {
    if (this.socket.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  #end(why: Closing): void {
    if (this.#isOver) return;
    this.close();
    this.ears.closed(why);
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }
}
