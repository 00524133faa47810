/**
 * What a server sends to an OpenTelemetry collector.
 * @module
 */
import { Context, Effect, Layer, Logger, type Scope } from "effect";
import * as FetchHttpClient from "effect/http/FetchHttpClient";
import * as Otlp from "effect/observability/Otlp";
import { accessWords, type OnAccess } from "../plugins/openai/mod.ts";

/** Sends traces, metrics and logs. */
export interface Telemetry {
  /** What the server has to run with. */
  readonly context: Context.Context<never>;
  /** Sends an entry of the access log as a log record. */
  readonly onAccess: OnAccess;
}

/** Sends to the collector at `url` until the scope closes, and then what is left. */
export const makeTelemetry: (
  url: string,
) => Effect.Effect<Telemetry, never, Scope.Scope> = Effect.fnUntraced(
  function* (url: string) {
    const before = yield* Logger.CurrentLoggers;
    const context = yield* Layer.build(
      Otlp.layerJson({ baseUrl: url, resource: { serviceName: "tessera" } })
        .pipe(Layer.provide(FetchHttpClient.layer)),
    );
    // The console has an access log of its own.
    const added = [...Context.get(context, Logger.CurrentLoggers)]
      .filter((logger) => !before.has(logger));
    const fork = Effect.runForkWith(
      Context.add(context, Logger.CurrentLoggers, new Set(added)),
    );
    return {
      context,
      onAccess: (entry) => {
        const words = accessWords(entry);
        fork(Effect.annotateLogs(
          entry.status < 500 ? Effect.logInfo(words) : Effect.logError(words),
          {
            "http.request.method": entry.method,
            "url.path": entry.path,
            "http.response.status_code": entry.status,
            "tessera.request": entry.request,
            "tessera.caller": entry.caller,
            "tessera.ms": entry.ms,
            ...(entry.model === undefined ? {} : {
              "tessera.model": entry.model,
              "gen_ai.usage.input_tokens": entry.promptTokens,
              "gen_ai.usage.output_tokens": entry.completionTokens,
            }),
          },
        ));
      },
    };
  },
);
