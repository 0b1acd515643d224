// What both peers share: who may do what, and what a booking must have.

import { createHash, createSecretKey, timingSafeEqual } from "node:crypto";
import jwt from "jsonwebtoken";

const jwtSecret = process.env.JWT_SECRET_KEY;
export const backendToken = process.env.BACKEND_SERVICE_TOKEN;
if (!jwtSecret || !backendToken) throw new Error("JWT_SECRET_KEY and BACKEND_SERVICE_TOKEN must be set");
// Made once: of a text, jsonwebtoken makes a key for every token, which takes half a millisecond.
const jwtKey = createSecretKey(jwtSecret, "utf8");

const requiredFields = {
  "": ["booking_id", "user", "session", "facilitator_id"],
  user: ["id", "name", "email"],
  session: ["id", "title", "start_time"],
};

/** The first field that a booking must have and has not. */
export function missingField(booking) {
  for (const [part, names] of Object.entries(requiredFields)) {
    const value = part ? booking[part] : booking;
    for (const name of names) if (value?.[name] === undefined || value[name] === null) return name;
  }
  return undefined;
}

export function ownsFacilitator(token, facilitator) {
  try {
    const claims = jwt.verify(token, jwtKey, { algorithms: ["HS256"] });
    return Number(claims.sub ?? claims.facilitator_id) === facilitator;
  } catch {
    return false;
  }
}

/** Whom a token speaks for, if it is good. */
export function ownerOf(token) {
  try {
    return jwt.verify(token, jwtKey, { algorithms: ["HS256"] }).sub;
  } catch {
    return undefined;
  }
}

export function owns(socket, facilitatorId) {
  return socket.data.facilitator !== undefined && Number(facilitatorId) === socket.data.facilitator;
}

export function sameSecret(given, expected) {
  const digest = (text) => createHash("sha256").update(String(text)).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

export function roomOf(facilitator) {
  return `facilitator_${facilitator}`;
}
