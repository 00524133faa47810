import assert from "node:assert/strict";
import { canonicalPath, methodsOf, routeOf } from "./api.ts";

Deno.test("a path has one name, however it is written", () => {
  for (
    const path of ["/mcp", "/mcp/", "//mcp", "/MCP", "/%6dcp", "/mcp;a=1"]
  ) assert.equal(canonicalPath(path), "/mcp");
  assert.equal(canonicalPath("/"), "/");
  assert.equal(canonicalPath("/%E0%A4%A"), "/%e0%a4%a");
  assert.deepEqual(methodsOf("/V1//models/"), ["GET"]);
  assert.equal(routeOf("/v1/models/nano/"), "/v1/models/:id");
  // A slash in a name is no end of it.
  assert.equal(routeOf("/v1/models/a%2Fb"), "/v1/models/:id");
  assert.equal(routeOf("/v1/models/a/b"), undefined);
});
