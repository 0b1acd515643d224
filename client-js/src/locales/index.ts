export { el } from "./el.js";
export { en } from "./en.js";
export { es } from "./es.js";
export { type Plural, type Words, counted, put, reason, typeLabel } from "./words.js";
