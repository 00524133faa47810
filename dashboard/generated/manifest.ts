// Made by `deno task dashboard:build`; do not edit.
import * as r0 from "../../routes/[...path].tsx";
import * as r1 from "../../routes/_500.tsx";
import * as r2 from "../../routes/_app.tsx";
import * as r3 from "../../routes/_layout.tsx";
import * as r4 from "../../routes/_middleware.ts";
import * as r5 from "../../routes/batches/[id]/delete.ts";
import * as r6 from "../../routes/batches/[id]/export.ts";
import * as r7 from "../../routes/batches/[id]/index.tsx";
import * as r8 from "../../routes/batches/[id]/live.ts";
import * as r9 from "../../routes/batches/compare.tsx";
import * as r10 from "../../routes/batches/index.tsx";
import * as r11 from "../../routes/batches/live.ts";
import * as r12 from "../../routes/chat/[id]/ask.ts";
import * as r13 from "../../routes/chat/[id]/events.ts";
import * as r14 from "../../routes/chat/[id]/index.tsx";
import * as r15 from "../../routes/chat/[id]/stop.ts";
import * as r16 from "../../routes/chat/index.tsx";
import * as r17 from "../../routes/chat/uploads/[digest].ts";
import * as r18 from "../../routes/chat/uploads/index.ts";
import * as r19 from "../../routes/compare.tsx";
import * as r20 from "../../routes/export.ts";
import * as r21 from "../../routes/index.tsx";
import * as r22 from "../../routes/latency/data.ts";
import * as r23 from "../../routes/latency/index.tsx";
import * as r24 from "../../routes/latency/live.ts";
import * as r25 from "../../routes/live.ts";
import * as r26 from "../../routes/pipelines/[name].tsx";
import * as r27 from "../../routes/pipelines/index.tsx";
import * as r28 from "../../routes/runs/[id]/icon.ts";
import * as r29 from "../../routes/runs/[id]/index.tsx";
import * as r30 from "../../routes/runs/[id]/live.ts";
import * as r31 from "../../routes/runs/actions.ts";
import * as r32 from "../../routes/sign-in.tsx";
import * as i0 from "../../islands/BatchGrid.tsx";
import * as i1 from "../../islands/BatchTable.tsx";
import * as i2 from "../../islands/ChatBoard.tsx";
import * as i3 from "../../islands/Days.tsx";
import * as i4 from "../../islands/DeleteButton.tsx";
import * as i5 from "../../islands/LatencyBoard.tsx";
import * as i6 from "../../islands/Moment.tsx";
import * as i7 from "../../islands/RunBoard.tsx";
import * as i8 from "../../islands/RunTable.tsx";
import type { IslandFiles } from "../host/islands.ts";
import type { RouteFiles } from "../host/router.ts";

export const routes: RouteFiles = {
  "[...path].tsx": r0,
  "_500.tsx": r1,
  "_app.tsx": r2,
  "_layout.tsx": r3,
  "_middleware.ts": r4,
  "batches/[id]/delete.ts": r5,
  "batches/[id]/export.ts": r6,
  "batches/[id]/index.tsx": r7,
  "batches/[id]/live.ts": r8,
  "batches/compare.tsx": r9,
  "batches/index.tsx": r10,
  "batches/live.ts": r11,
  "chat/[id]/ask.ts": r12,
  "chat/[id]/events.ts": r13,
  "chat/[id]/index.tsx": r14,
  "chat/[id]/stop.ts": r15,
  "chat/index.tsx": r16,
  "chat/uploads/[digest].ts": r17,
  "chat/uploads/index.ts": r18,
  "compare.tsx": r19,
  "export.ts": r20,
  "index.tsx": r21,
  "latency/data.ts": r22,
  "latency/index.tsx": r23,
  "latency/live.ts": r24,
  "live.ts": r25,
  "pipelines/[name].tsx": r26,
  "pipelines/index.tsx": r27,
  "runs/[id]/icon.ts": r28,
  "runs/[id]/index.tsx": r29,
  "runs/[id]/live.ts": r30,
  "runs/actions.ts": r31,
  "sign-in.tsx": r32,
};

export const islands: IslandFiles = {
  "BatchGrid.tsx": i0,
  "BatchTable.tsx": i1,
  "ChatBoard.tsx": i2,
  "Days.tsx": i3,
  "DeleteButton.tsx": i4,
  "LatencyBoard.tsx": i5,
  "Moment.tsx": i6,
  "RunBoard.tsx": i7,
  "RunTable.tsx": i8,
};
