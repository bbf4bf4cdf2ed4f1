// Questions to the API, with the token where the server wants one.

const KEPT = "kandle.token";
const known = { token: sessionStorage.getItem(KEPT) };

/** The server's answer was a problem (RFC 9457), or there was none (status 0). */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const token = () => known.token;

/** Keep the token for as long as this tab is open. */
export function setToken(text) {
  known.token = text;
  sessionStorage.setItem(KEPT, text);
}

/** What a path of the API answers to a query; fields without a value are left out. */
export async function ask(path, query = {}) {
  const fields = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const headers = known.token ? { Authorization: `Bearer ${known.token}` } : {};
  let answer;
  try {
    // Without credentials of its own the browser shows no login of its own when the token is wanted.
    answer = await fetch(`/api/v1/${path}?${new URLSearchParams(fields)}`, { headers, credentials: "omit" });
  } catch {
    throw new Refused(0, "the server does not answer");
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, content.detail ?? `status ${answer.status}`);
  return content;
}

/** All rows of a range, oldest first, page by page. */
export async function askAll(path, query) {
  let found = [],
    before = null;
  do {
    const page = await ask(path, { ...query, limit: 5000, before });
    found = [...page.data, ...found];
    before = page.before;
  } while (before !== null);
  return found;
}
