// The API, with the function key that the person gave, or the cookies of an Entra sign-in.

const STORED = "mxferry-key";
const known = new Map(); // path and form → { etag, data }: a 304 gives the same object again

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || `The app answered ${status}.`);
    this.status = status;
    this.code = body.code ?? "";
    this.remedy = body.remedy ?? "";
    this.errors = body.errors ?? [];
  }
}

// An answer that says nothing of what became of the call: it may be asked again, or, of a POST, have been done.
export const lost = (error) => !(error instanceof Problem) || error.status >= 500 || error.status === 408 || error.status === 429;

export const key = {
  get: () => sessionStorage.getItem(STORED),
  set: (value) => sessionStorage.setItem(STORED, value),
  forget: () => { sessionStorage.removeItem(STORED); known.clear(); },
};

export const get = (path, signal) => read(path, "application/json", signal, (answer) => answer.json());

export const text = (path, accept, signal) => read(path, accept, signal, (answer) => answer.text());

async function read(path, accept, signal, parse) {
  const name = `${accept} ${path}`, before = known.get(name);
  const answer = await ask(path, { signal, headers: { Accept: accept, ...(before ? { "If-None-Match": before.etag } : {}) } });
  if (answer.status === 304) return before.data;
  const data = await parse(answer);
  if (answer.headers.get("ETag")) known.set(name, { etag: answer.headers.get("ETag"), data });
  return data;
}

export async function post(path, body, headers = {}) {
  const answer = await ask(path, {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers },
  });
  return answer.json();
}

async function ask(path, options) {
  const headers = { ...options.headers };
  if (key.get()) headers["x-functions-key"] = key.get();
  const answer = await fetch(path, { ...options, headers, credentials: "same-origin", redirect: "error" });
  if (answer.ok || answer.status === 304) return answer;
  throw new Problem(answer.status, await answer.json().catch(() => ({})));
}

// Calls `work` until it returns false or the view is left; slower while nobody looks, after failures, and by the number it returns.
export async function poll(work, signal, trouble, every = 2000) {
  let failures = 0, slower = 1;
  while (!signal.aborted) {
    try {
      const goOn = await work();
      failures = 0;
      trouble(null);
      if (!goOn) return;
      slower = Number(goOn);
    } catch (error) {
      if (signal.aborted) return;
      if (!lost(error)) throw error;
      failures += 1;
      trouble(`No answer from the app (${error.message}); trying again.`);
    }
    const wait = (document.hidden ? 5 : 1) * slower * every * Math.min(8, 2 ** failures);
    await new Promise((resolve) => { setTimeout(resolve, wait); signal.addEventListener("abort", resolve, { once: true }); });
  }
}
