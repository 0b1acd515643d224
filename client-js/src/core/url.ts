/**
 * `url` as it is if a page may lead there: http, https, or relative. Null for all else, such as `javascript:`.
 * Browsers drop tabs and line ends inside addresses, so these are refused, too.
 */
export function safeUrl(url: unknown): string | null {
  if (typeof url !== "string" || url === "" || /[\u0000-\u0020\u007f\\]/.test(url)) return null;
  try {
    const { protocol } = new URL(url, "https://relative.invalid/");
    return protocol === "https:" || protocol === "http:" ? url : null;
  } catch {
    return null;
  }
}
