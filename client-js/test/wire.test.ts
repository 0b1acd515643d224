import { expect, test } from "vitest";
import { safeUrl } from "../src/index.js";
import { claims } from "../src/core/tokens.js";
import { fromFeed, fromFrame, fromRest } from "../src/core/wire.js";
import { token } from "./server.js";

test("three doors, one notification", () => {
  const rest = fromRest({
    id: 7, uuid: "u7", type: "grade", title: "G", message: "m", data: { grade: 85 }, topic: "t", priority: "urgent",
    action_url: "/g", is_read: false, created_at: "2026-01-01T00:00:00Z", expires_at: null,
  });
  const feed = fromFeed({
    id: "u7", number: 7, type: "grade", title: "G", message: "m", channel: "t", priority: "urgent", timestamp: "2026-01-01T00:00:00Z",
    data: { grade: 85 }, actionUrl: "/g",
  });
  const frame = {
    id: "u7", type: "notification", title: "G", message: "m", timestamp: "2026-01-01T00:00:00Z", replay_id: "7", user_id: "2", topic: "t",
    data: { id: "u7", title: "G", message: "m", notification_type: "grade", priority: "urgent", action_url: "/g", grade: 85 },
  };
  expect(feed).toEqual(rest);
  expect(fromFrame(frame)).toEqual(rest);
  const metadata = { grade: 85, title: "theirs", id: 5 };
  expect(fromFrame({ ...frame, metadata, expires_at: "2026-02-01T00:00:00Z" })).toEqual({ ...rest, data: metadata, expiresAt: "2026-02-01T00:00:00Z" });
});

test("what is of the wrong kind is left out, and what has no name is none", () => {
  for (const odd of [null, 5, "x", [], {}, { id: 7 }, { uuid: "u", id: "7" }]) expect(fromRest(odd)).toBeNull();
  const one = fromRest({ id: 1, uuid: "u", title: { html: "<b>" }, data: [1], priority: "loud", is_read: "yes", action_url: 5 });
  expect(one).toMatchObject({ title: "", data: {}, priority: "normal", isRead: false, actionUrl: null });
});

test("addresses are http, https or relative", () => {
  for (const good of ["/a", "a?b#c", "https://x.example/y", "http://x.example", "//x.example/y", "/a%20b"]) expect(safeUrl(good)).toBe(good);
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", " javascript:alert(1)", "data:text/html,x", "blob:x", "vbscript:x", "file:///etc", "/\\x.example", "http://", "", null]) {
    expect(safeUrl(bad)).toBeNull();
  }
});

test("tokens are read as far as they can be", () => {
  expect(claims(token("zoë", 60)).subject).toBe("zoë");
  expect(claims("nonsense")).toEqual({ subject: null, tenant: null, expiresAt: null });
});
