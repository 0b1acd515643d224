// What becomes of a connection when its token ends.

import { afterAll, beforeAll, test } from "vitest";
import { Ground, pause, token, told, until } from "./ground.ts";

let ground: Ground;

beforeAll(async () => {
  ground = await Ground.make();
});
afterAll(() => ground.end());

for (const transport of ["socketIo", "webSocket"] as const) {
  test.concurrent(`a token that ends is renewed on the living socket, by ${transport}`, async ({ expect }) => {
    const user = ground.person();
    const device = await ground.device();
    let given = 0;
    await device.exposeFunction("getToken", () => {
      given += 1;
      return token(user, 8);
    });
    const page = await ground.page(device, user, { transport });
    const states: string[] = [];
    await device.exposeFunction("state", (now: string) => states.push(now));
    await page.evaluate(() => {
      const say = (window as unknown as { state(now: string): void }).state;
      window.client.connection.subscribe(() => say(window.client.connection.getSnapshot().status));
    });
    await until(() => given, (tokens) => tokens >= 3, 60_000);
    await pause(3000);
    expect(states).toEqual([]);
    await ground.send(user, "A");
    await until(() => told(page), (all) => all.length === 1);
    await device.close();
  });
}
