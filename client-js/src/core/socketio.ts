import { type Closing, type Ears, type Link, STANDINGS, type Transport } from "./transport.js";
import { fields, fromFeed, text } from "./wire.js";

/** What is used of a socket of `socket.io-client`. */
export interface SocketIoSocket {
  on(event: string, listener: (...given: unknown[]) => void): unknown;
  emit(event: string, ...given: unknown[]): unknown;
  disconnect(): unknown;
}

/** `io` of `socket.io-client` 4. */
export type SocketIoClient = (
  url: string,
  options: {
    readonly auth: { readonly token: string };
    readonly forceNew: boolean;
    readonly reconnection: boolean;
    readonly transports: ("websocket" | "polling")[];
    readonly tryAllTransports: boolean;
    readonly timeout: number;
  },
) => SocketIoSocket;

export interface SocketIoOptions {
  /** By which ways, in this order; the second is tried when the first does not get through. */
  readonly transports?: readonly ("websocket" | "polling")[];
}

/** Socket.IO: `socketIo(io)`, with `io` of `socket.io-client`. */
export function socketIo(io: SocketIoClient, options: SocketIoOptions = {}): Transport {
  return {
    open({ url, token, since }, ears) {
      const socket = io(url, {
        auth: { token },
        forceNew: true,
        reconnection: false,
        transports: [...(options.transports ?? (["websocket", "polling"] as const))],
        tryAllTransports: true,
        timeout: 20_000,
      });
      return new FeedLink(socket, since, ears);
    },
  };
}

class FeedLink implements Link {
  #isOver = false;
  #isOpen = false;
  #isBehind = true;
  #last: string | null = null;

  constructor(
    private readonly socket: SocketIoSocket,
    private readonly since: string | null,
    private readonly ears: Ears,
  ) {
    const hear = (event: string, then: (said: Readonly<Record<string, unknown>>) => void) =>
      socket.on(event, (said) => {
        if (!this.#isOver) then(fields(said));
      });
    hear("authenticated", () => this.#open());
    hear("notification", (said) => this.#notification(said));
    hear("notificationStatus", (said) => {
      const standing = STANDINGS[text(said.status)];
      // With a `userId` it is about a notification of somebody else's, which this person sent.
      if (standing !== undefined && said.userId === undefined) ears.stands(text(said.notificationId) || null, standing);
    });
    hear("auth_error", (said) => this.#end({ reason: "token", detail: text(said.detail) || text(said.error) }));
    hear("error", (said) => {
      if (said.error !== "Notification not found") ears.complained(text(said.error), text(said.detail));
    });
    socket.on("disconnect", (reason) => this.#end({ reason: "lost", detail: text(reason) }));
    socket.on("connect_error", (fault) => {
      const message = fault instanceof Error ? fault.message : "";
      const reason = { "Authentication failed": "token", "Too many connections": "busy" }[message] as Closing["reason"] | undefined;
      this.#end({ reason: reason ?? "lost", detail: text(fields(fields(fault).data).detail) || message });
    });
  }

  authenticate(token: string): void {
    this.socket.emit("authenticate", { token });
  }

  received(id: string): void {
    this.socket.emit("ack", { notificationId: id });
  }

  close(): void {
    this.#isOver = true;
    this.socket.disconnect();
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.ears.opened();
    this.#ask(this.since);
  }

  #ask(since: string | null): void {
    this.socket.emit("requestMissedNotifications", { since }, (answer: unknown) => this.#answered(fields(answer)));
  }

  #answered({ error, detail }: Readonly<Record<string, unknown>>): void {
    if (this.#isOver) return;
    if (error === undefined) return this.#caughtUp();
    if (error !== "Notification not found") return this.#end({ reason: "lost", detail: text(detail) });
    this.ears.truncated();
    this.#ask(null);
  }

  /** Until now something between what came may have been missing: only now is the last one a place to go on from. */
  #caughtUp(): void {
    this.#isBehind = false;
    if (this.#last !== null) this.ears.reached(this.#last);
  }

  #notification(said: Readonly<Record<string, unknown>>): void {
    const notification = fromFeed(said);
    if (notification === null) return;
    this.#last = notification.id;
    this.ears.notification(notification, this.#isBehind);
    if (!this.#isBehind) this.ears.reached(notification.id);
  }

  #end(why: Closing): void {
    if (this.#isOver) return;
    this.close();
    this.ears.closed(why);
  }
}
