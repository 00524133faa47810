/**
 * The prompt renderer as the nodes ask for it.
 * @module
 */
import type { PromptRenderer } from "../../../nodes/services.ts";
import { renderMessages } from "./messages.ts";
import { type RenderContext, renderPrompt } from "./render.ts";

/** Makes the service that the nodes ask for. */
export function makePromptRenderer(context: RenderContext): PromptRenderer {
  return {
    render: (request) => renderPrompt(request, context),
    converse: (request) => renderMessages(request, context),
  };
}
