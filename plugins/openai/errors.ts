/**
 * Failures in the form that OpenAI's API gives them: `{"error": {message, type, param, code}}`.
 * @module
 */
import type { AnswerError, MediaError, PromptError } from "../../nodes/mod.ts";
import type { GraphError } from "../../pipeline/mod.ts";

/** OpenAI's kinds of error. */
export type ApiErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "permission_error"
  | "rate_limit_error"
  | "server_error";

/** What an error says. */
export interface ApiErrorFields {
  /** HTTP status. */
  readonly status: number;
  /** One line. */
  readonly message: string;
  /** Kind; default by the status. */
  readonly type?: ApiErrorType;
  /** A word for programs. */
  readonly code?: string;
  /** The parameter to blame, such as `messages[0].content`. */
  readonly param?: string;
  /** When to try again, in seconds. */
  readonly retryAfter?: number;
  /** Whether the same request could succeed later; clients of OpenAI obey it. Default: by the status. */
  readonly retry?: boolean;
}

/** The JSON body of an error. */
export interface ApiErrorBody {
  /** The error. */
  readonly error: {
    readonly message: string;
    readonly type: ApiErrorType;
    readonly param: string | null;
    readonly code: string | null;
  };
}

const typeOf = (status: number): ApiErrorType =>
  status === 401
    ? "authentication_error"
    : status === 403
    ? "permission_error"
    : status === 429
    ? "rate_limit_error"
    : status >= 500
    ? "server_error"
    : "invalid_request_error";

/** A failure that the client is told. */
export class ApiError extends Error {
  /** The discriminator. */
  readonly _tag = "ApiError" as const;
  /** What it says. */
  readonly fields: ApiErrorFields;
  /** Makes the error; control characters and line ends leave the message. */
  constructor(fields: ApiErrorFields) {
    const message = oneLine(fields.message);
    super(message);
    this.name = this._tag;
    this.fields = { ...fields, message };
  }

  /** The body. */
  get body(): ApiErrorBody {
    const { status, message, type = typeOf(status), param, code } = this.fields;
    return {
      error: { message, type, param: param ?? null, code: code ?? null },
    };
  }

  /** The headers besides the content type. */
  get headers(): Record<string, string> {
    const { status, retryAfter, retry } = this.fields;
    return {
      // HTTP asks for it (RFC 9110, 11.6.1); tools that send a key only when asked look for it.
      ...(status === 401 ? { "www-authenticate": "Bearer" } : {}),
      ...(retryAfter === undefined
        ? {}
        : { "retry-after": String(Math.max(1, Math.ceil(retryAfter))) }),
      ...(retry === undefined ? {} : { "x-should-retry": String(retry) }),
    };
  }
}

/** A mistake in a parameter. */
export function invalid(
  param: string | undefined,
  message: string,
  code = "invalid_value",
): ApiError {
  return new ApiError({
    status: 400,
    message,
    code,
    ...(param === undefined ? {} : { param }),
  });
}

/** A parameter that is known and not supported. */
export function unsupported(param: string, message: string): ApiError {
  return invalid(param, message, "unsupported_parameter");
}

/** Words without line ends, control characters or a length that fills a log. */
export function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  const line = text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, " ").trim();
  return line.length > 1000 ? `${line.slice(0, 1000)} …` : line;
}

/** What generation settings are called in a request. */
export type SettingNames = Readonly<Record<string, string>>;

/** What they are called in most; those whose bounds the schema has cannot be wrong later. */
export const settingNames: SettingNames = {
  maxNewTokens: "max_tokens",
  minNewTokens: "min_tokens",
  logitBias: "logit_bias",
  stop: "stop",
  constraint: "response_format",
};

/** What is said of a setting, with the names that the client knows. */
const inWordsOf = (message: string, names: SettingNames): string =>
  message.replace(
    /^generation setting (\w+)/,
    (_, name: string) => names[name] ?? name,
  )
    .replace(
      /\b\w+\b/g,
      (word) =>
        /[A-Z]/.test(word) && Object.hasOwn(names, word) ? names[word]! : word,
    );

/**
 * A failure of a run, as the client is told it; what is only the server's business is left out. `params`
 * are places in the request, which is what the run calls the pictures and videos that stand there; `names`
 * are those that settings have in it.
 */
export function fromRunError(
  error: AnswerError | GraphError | { readonly _tag: string },
  params: ReadonlySet<string> = new Set(),
  names: SettingNames = settingNames,
): ApiError {
  switch (error._tag) {
    case "ApiError":
      return error as unknown as ApiError;
    case "PromptError": {
      const { setting, message } = error as PromptError;
      return setting === undefined
        ? invalid("messages", message, "invalid_prompt")
        : invalid(names[setting] ?? setting, inWordsOf(message, names));
    }
    case "MediaError": {
      const { source = "", message } = error as MediaError;
      const param = params.has(source) ? source : "messages";
      return invalid(param, message, "invalid_media");
    }
    case "CapacityError": {
      const { kind, message } = error as {
        readonly kind?: string;
        readonly message: string;
      };
      switch (kind) {
        case "queue":
          return new ApiError({
            status: 503,
            message,
            code: "engine_overloaded",
            retryAfter: 1,
          });
        case "deadline":
          return new ApiError({
            status: 504,
            message,
            code: "deadline_exceeded",
            retry: false,
          });
        case "length":
          // Begins as OpenAI's does: LiteLLM knows by these words that a model with more room is wanted.
          return invalid(
            "messages",
            `This model's maximum context length is exceeded: ${message}`,
            "context_length_exceeded",
          );
        // Of all of the memory: does not pass by waiting, either.
        default:
          return invalid("messages", message, "context_length_exceeded");
      }
    }
    default:
      return new ApiError({
        status: 500,
        message:
          "the model could not compute the answer; the server's log says why",
        code: "internal_error",
      });
  }
}

/** Whether a failure is the server's: worth a line in its log. */
export function isServerFault(error: { readonly _tag: string }): boolean {
  return !["ApiError", "PromptError", "MediaError", "CapacityError"].includes(
    error._tag,
  );
}

/** An error as a response, for what happens before any route. */
export function errorResponse(
  error: ApiError,
  headers: Record<string, string> = {},
): Response {
  return Response.json(error.body, {
    status: error.fields.status,
    headers: { ...error.headers, ...headers },
  });
}
