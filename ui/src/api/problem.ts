/** What went wrong with a request, in the server's own words where it answered. */
export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "ApiProblem";
  }
}

export const UNREACHABLE = "The server does not answer. It may have been stopped: `regraft up` starts it.";

/** The problem that an answer with a status of 400 or more describes. */
export async function problemOf(answer: Response): Promise<ApiProblem> {
  const text = await answer.text().catch(() => "");
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return new ApiProblem(answer.status, error.code, error.message);
  } catch {
    return new ApiProblem(answer.status, "unreadable", `The server answered ${answer.status}.`);
  }
}

/** A sentence for people about any error. */
export function sentence(error: unknown): string {
  if (error instanceof ApiProblem) return error.message;
  if (error instanceof TypeError) return UNREACHABLE; // what fetch throws without a network
  return error instanceof Error ? error.message : String(error);
}
