import createClient from "openapi-fetch";
import createQueries from "openapi-react-query";
import { problemOf } from "./problem";
import type { components, paths } from "./schema";

/** Records of the API by name, such as `Schema["Session"]`. */
export type Schema = components["schemas"];

let csrf = "";

/** Remember the value that the server wants to see in each request that changes something. */
export function setCsrf(value: string): void {
  csrf = value;
}

/** Headers of a request that changes something, for requests made without the client. */
export function writeHeaders(): Record<string, string> {
  return csrf ? { "X-Regraft-Csrf": csrf } : {};
}

export const client = createClient<paths>({ baseUrl: "", credentials: "same-origin" });
client.use({
  onRequest({ request }) {
    if (request.method !== "GET" && csrf) request.headers.set("X-Regraft-Csrf", csrf);
    return request;
  },
  async onResponse({ response }) {
    if (!response.ok) throw await problemOf(response);
  },
});

/** Typed hooks of TanStack Query: `api.useQuery("get", "/api/themes", {params: {query: {limit: 5}}})`. */
export const api = createQueries(client);
