export { canPush, keepPushesInStep, subscribeToPushes, unsubscribeFromPushes } from "./page.js";
export { handlePushes, type PushOptions, type WorkerScope } from "./worker.js";
