// What comes over the wire, made ours. Nothing is believed: a field of another kind than expected counts as absent.

import type { Notification, Priority } from "./notification.js";
import { safeUrl } from "./url.js";

export type Fields = Readonly<Record<string, unknown>>;

export const fields = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};

export const text = (value: unknown): string => (typeof value === "string" ? value : "");
export const textOrNull = (value: unknown): string | null => (typeof value === "string" ? value : null);
export const whole = (value: unknown): number | null =>
  typeof value === "number" && Number.isSafeInteger(value) ? value : null;
export const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];

function priority(value: unknown): Priority {
  switch (value) {
    case "low":
    case "high":
    case "urgent":
      return value;
    case "critical":
      return "urgent";
    default:
      return "normal";
  }
}

interface Names {
  readonly id: unknown;
  readonly number: unknown;
  readonly type: unknown;
  readonly topic: unknown;
  readonly actionUrl: unknown;
  readonly createdAt: unknown;
  readonly expiresAt: unknown;
  readonly isRead: unknown;
}

function notification(value: Fields, names: Names, data: Fields): Notification | null {
  const id = text(names.id);
  const number = whole(names.number);
  if (id === "" || number === null) return null;
  return {
    id,
    number,
    type: text(names.type),
    title: text(value.title),
    message: text(value.message),
    data,
    topic: textOrNull(names.topic),
    priority: priority(value.priority),
    actionUrl: safeUrl(names.actionUrl),
    createdAt: text(names.createdAt),
    expiresAt: textOrNull(names.expiresAt),
    isRead: names.isRead === true,
  };
}

/** As `/api/v1` lists it. */
export function fromRest(given: unknown): Notification | null {
  const value = fields(given);
  return notification(
    value,
    {
      id: value.uuid,
      number: value.id,
      type: value.type,
      topic: value.topic,
      actionUrl: value.action_url,
      createdAt: value.created_at,
      expiresAt: value.expires_at,
      isRead: value.is_read,
    },
    fields(value.data),
  );
}

/** As the Socket.IO feed tells it. */
export function fromFeed(given: unknown): Notification | null {
  const value = fields(given);
  return notification(
    value,
    {
      id: value.id,
      number: value.number,
      type: value.type,
      topic: value.channel,
      actionUrl: value.actionUrl,
      createdAt: value.timestamp,
      expiresAt: value.expiresAt,
      isRead: false,
    },
    fields(value.data),
  );
}

/**
 * As a raw WebSocket tells it: what is the notification's own stands in `data` beside what the sender added. Where both have
 * the same name, `metadata` is all that the sender added.
 */
export function fromFrame(given: unknown): Notification | null {
  const frame = fields(given);
  const { id: _id, title: _title, message: _message, notification_type, priority, action_url, ...rest } = fields(frame.data);
  return notification(
    { ...frame, priority },
    {
      id: frame.id,
      number: Number(text(frame.replay_id) || Number.NaN),
      type: notification_type,
      topic: frame.topic,
      actionUrl: action_url,
      createdAt: frame.timestamp,
      expiresAt: frame.expires_at,
      isRead: false,
    },
    fields(frame.metadata ?? rest),
  );
}
