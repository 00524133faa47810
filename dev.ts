/**
 * Fresh's builder: `deno run -R -W -E -N -S --allow-ffi --allow-run dev.ts` serves while files change,
 * with `build` it writes `_fresh/`. Needs JSR; see docs/dashboard.md.
 * @module
 */
import { Builder } from "fresh/dev";

const builder = new Builder();
if (Deno.args.includes("build")) await builder.build();
else await builder.listen(() => import("./main.ts"));
