// Rendered on a server: nobody is connected, nothing breaks, and it is what a browser shows at first.

import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { el, en, es } from "../src/locales/index.js";
import { counted, reason, typeLabel } from "../src/locales/words.js";
import { NotificationBell, NotificationCenter, NotificationPreferences, NotificationProvider, NotificationToasts } from "../src/react/index.js";
import { translated } from "../demo/reasons.js";
import { ago } from "../src/react/time.js";

test("pages render on a server", () => {
  const page = renderToString(
    <NotificationProvider options={{ url: "http://nowhere", token: "t" }} words={es}>
      <NotificationBell />
      <NotificationCenter isOpen onClose={() => {}} />
      <NotificationPreferences />
      <NotificationToasts />
    </NotificationProvider>,
  );
  expect(page).toContain('aria-label="Notificaciones, ninguna sin leer"');
  expect(page).toContain(es.loading);
});

test("every language says everything, with the same things put in", () => {
  const holes = (said: unknown) => [...JSON.stringify(said).matchAll(/\{(\w+)\}/g)].map(([, name]) => name).filter((name, at, all) => all.indexOf(name) === at).sort();
  for (const words of [el, es]) {
    expect(Object.keys(words)).toEqual(Object.keys(en));
    expect(Object.keys(words.problems)).toEqual(Object.keys(en.problems));
    expect(Object.keys(words.types)).toEqual(Object.keys(en.types));
    for (const [name, said] of Object.entries(en)) expect([words.tag, name, holes(words[name as keyof typeof en])]).toEqual([words.tag, name, holes(said)]);
  }
  expect(counted(el, el.bell, 1)).toBe("Ειδοποιήσεις, 1 μη αναγνωσμένη");
  expect(counted(el, el.bell, 1200)).toBe("Ειδοποιήσεις, 1.200 μη αναγνωσμένες");
});

test("times are told in words", () => {
  const now = Date.parse("2026-01-10T12:00:00Z");
  expect([0, 59_000, 60_000, 7_300_000, 2 * 86_400_000, 8 * 86_400_000].map((passed) => ago("en", now - passed, now))).toEqual([
    "now", "now", "1 minute ago", "2 hours ago", "2 days ago", "Jan 2, 2026",
  ]);
  expect(ago("es", now - 120_000, now)).toBe("hace 2 minutos");
});

test("reasons are said in the language of the page, and in the server's words where it has none", () => {
  const why = (code: string, field: string | null = null, status = 422) => ({ code, field, status, message: "The server's own words." });
  expect(reason(el, why("invalid_field", "quiet_hours"))).toBe(el.problems["invalid_field:quiet_hours"]);
  expect(reason(el, why("invalid_field", "channels.in_app"))).toBe(el.problems.invalid_field);
  expect(reason(es, why("unreachable", null, 0))).toBe(es.problems.unreachable);
  expect(reason(es, why("http_502", null, 502))).toContain("502");
  expect(reason(es, why("of_a_later_version"))).toBe("The server's own words.");
});

test("kinds have names that people read", () => {
  expect(typeLabel(el, "security_alert")).toBe("Ειδοποιήσεις ασφαλείας");
  expect(["parcel_late", "parcelLate", "shop.parcel-late", "x", "__", "constructor"].map((type) => typeLabel(en, type))).toEqual([
    "Parcel late", "Parcel late", "Shop parcel late", "X", "__", "Constructor",
  ]);
});

test("the demo says in its languages why a step was taken, and in the server's words what it has none for", () => {
  expect(translated("el", "durable, of priority high")).toBe("μόνιμα, με προτεραιότητα high");
  expect(translated("es", "the type is switched off for this channel, by the recipient's preferences")).toBe(
    "el tipo está desactivado para este canal, según los ajustes del destinatario",
  );
  expect([translated("en", "the client said so"), translated("el", "of a later version")]).toEqual([null, null]);
});
