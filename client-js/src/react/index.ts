"use client";

export { NotificationBell, type BellProps } from "./bell.js";
export { NotificationCenter, NotificationList, type CenterProps, type NotificationListProps } from "./center.js";
export { type Theme, useClient, useStore, useWords } from "./context.js";
export {
  type Actions,
  type InboxHook,
  type Kept,
  useActions,
  useConnection,
  useDigest,
  useInbox,
  useNotificationEvent,
  usePreferences,
  useTypes,
  useUnreadCount,
} from "./hooks.js";
export { NotificationItem, type ItemProps, type OnOpen } from "./item.js";
export { NotificationPreferences, type PreferencesProps } from "./preferences.js";
export { NotificationProvider, type ProviderProps } from "./provider.js";
export { type Say, useSay } from "./say.js";
export { Ago } from "./time.js";
export { NotificationToasts, type ToastsProps } from "./toasts.js";
