/**
 * Messages on one line.
 * @module
 */

/** The message of anything thrown, on one line. */
export function oneLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/\s+/g, " ").trim();
}

/**
 * ONNX Runtime's message on one line, without the build machine's source path, the C++ function it names
 * and the condition that "was false".
 */
export function tidyMessage(message: string): string {
  const text = message.replace(/\s+/g, " ")
    .replace(/\S*\/\S+\.(?:cc|h|cu|cpp):\d+ /g, "")
    .trim();
  const at = text.indexOf("Status Message: ");
  const head = at < 0 ? "" : text.slice(0, at);
  const tail = (at < 0 ? text : text.slice(at + "Status Message: ".length))
    .replace(/^.* was false\. (?=\S)/, "");
  return (head + tail).slice(0, 600);
}
