import assert from "node:assert/strict";
import { InputError, OutputError } from "./faults.ts";
import {
  type AppendFile,
  lineWriter,
  openOutput,
  readEarlier,
  readJobs,
  resolve,
} from "./jsonl.ts";

function withFolder(body: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    body(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function jobsOf(content: string | Uint8Array) {
  let jobs: ReturnType<typeof readJobs> = [];
  withFolder((folder) => {
    const path = `${folder}/in.jsonl`;
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
    try {
      jobs = readJobs(path);
    } catch (error) {
      (error as Error).message = (error as Error).message.replaceAll(
        path,
        "in.jsonl",
      );
      throw error;
    }
    jobs = JSON.parse(JSON.stringify(jobs).replaceAll(folder, "DIR"));
  });
  return jobs;
}

Deno.test("questions with all their fields; paths are relative to the file", () => {
  assert.deepEqual(
    jobsOf(
      [
        `\ufeff{"id":"a","images":["x.png","/abs/y.png"],"question":"Q?","history":[["q","a"]],"num_patches_list":[7,7],"answer":"kept by its owner"}`,
        "",
        `{"id":7,"question":"Q2","video":"v.mp4"}\r`,
        `{"id":"7","question":"Q3","images":null,"video":{"source":"v.mp4","segments":4,"start":1.5,"end":3}}`,
      ].join("\n"),
    ),
    [
      {
        id: "a",
        line: 1,
        sample: {
          question: "Q?",
          images: ["DIR/x.png", "/abs/y.png"],
          history: [["q", "a"]],
          numPatchesList: [7, 7],
        },
      },
      {
        id: 7,
        line: 3,
        sample: { question: "Q2", images: [], video: "DIR/v.mp4" },
      },
      {
        id: "7",
        line: 4,
        sample: {
          question: "Q3",
          images: [],
          video: { source: "DIR/v.mp4", segments: 4, start: 1.5, end: 3 },
        },
      },
    ],
  );
});

Deno.test("a bad line is named by its number, before anything is asked", () => {
  const good = `{"id":1,"question":"Q"}\n`;
  const cases: [string | Uint8Array, RegExp][] = [
    [`${good}{"id":2,`, /^in\.jsonl line 2 is no JSON: /],
    [
      `${good}nonsense\nmore nonsense\n[]`,
      /line 2 is no JSON.*\(and 2 more bad lines\)$/,
    ],
    [`${good}[1]`, /line 2 must be an object/],
    [`{"question":"Q"}`, /line 1 has no "id"/],
    [`{"id":1}`, /line 1 has no "question"/],
    [`{"id":1e400,"question":"Q"}`, /"id" that is too large for a number/],
    [
      `{"id":12345678901234567890,"question":"Q"}`,
      /"id" that is too large for a number; write it in quotes$/,
    ],
    [`{"id":1,"question":"  "}`, /line 1 has no "question"/],
    [
      `{"id":1,"question":"Q","image":["a"]}`,
      /has "image"; did you mean "images"\?/,
    ],
    [
      `{"id":1,"question":"Q","images":"a.png"}`,
      /"images" that are no list of paths/,
    ],
    [
      `{"id":1,"question":"Q","images":[1]}`,
      /"images" that are no list of paths/,
    ],
    [
      `{"id":1,"question":"Q","history":[["q"]]}`,
      /has a wrong "history": entry 1 must be/,
    ],
    [
      `{"id":1,"question":"Q","video":{"segments":3}}`,
      /"video" that is neither/,
    ],
    [`{"id":1,"question":"Q","num_patches_list":[1.5]}`, /"num_patches_list"/],
    [`${good}\n${good}`, /line 3 has the id 1 of line 1; ids must be unique$/],
    ["\n \n", /^in\.jsonl has no questions$/],
    [new Uint8Array([0x7b, 0xff, 0x7d]), /line 1 is not UTF-8$/],
  ];
  for (const [content, message] of cases) {
    assert.throws(() => jobsOf(content), (error: unknown) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  }
  assert.throws(() => readJobs("no/such.jsonl"), /there is no such file/);
});

Deno.test("paths that are whole stay as they are", () => {
  assert.equal(resolve("", "a.png"), "a.png");
  assert.equal(resolve("q/", "a.png"), "q/a.png");
  assert.equal(resolve("q/", "/a.png"), "/a.png");
  assert.equal(resolve("q/", "C:\\a.png"), "C:\\a.png");
  assert.equal(resolve("q/", "file:///a.png"), "file:///a.png");
});

const answered = `{"id":"a","response":"yes"}\n`;
const failed = `{"id":"b","error":{"tag":"MediaError","message":"no"}}\n`;

Deno.test("a second start goes on after whole lines", () => {
  withFolder((folder) => {
    const path = `${folder}/out.jsonl`;
    for (
      const [before, after, torn] of [
        ["", "", 0],
        [answered + failed, answered + failed, 0],
        // Every way in which a crash can cut a line.
        ...Array.from(
          { length: failed.length - 2 },
          (_, cut) =>
            [
              answered + failed.slice(0, cut + 1),
              answered,
              cut + 1,
            ] as const,
        ),
        // Only the newline is missing: the work is kept.
        [answered + failed.trimEnd(), answered + failed, 0],
      ] as const
    ) {
      Deno.writeTextFileSync(path, before);
      const output = openOutput(path, { retryFailed: false });
      output.append({ id: 1, response: "new" });
      output.close();
      assert.equal(output.earlier.torn, torn, before);
      assert.equal(
        Deno.readTextFileSync(path),
        `${after}{"id":1,"response":"new"}\n`,
      );
    }
  });
});

Deno.test("what an output holds", () => {
  const read = (text: string) =>
    readEarlier("out", new TextEncoder().encode(text));
  const earlier = read(answered + failed);
  assert.deepEqual([...earlier.answered], ['"a"']);
  assert.deepEqual([...earlier.failed], ['"b"']);
  // An answer after an error counts.
  assert.deepEqual(
    [...read(failed + failed.replace(/"error".*}/, '"response":""}')).failed],
    [],
  );
});

Deno.test("a file that is no output is refused and left as it is", () => {
  withFolder((folder) => {
    const path = `${folder}/notes.txt`;
    for (
      const text of [
        "my notes\n",
        "my notes",
        `{"id":1}\n`,
        `${answered}my notes\n`,
        `${answered}my notes`,
        `{"other":`,
        "\n",
      ]
    ) {
      Deno.writeTextFileSync(path, text);
      assert.throws(
        () => openOutput(path, { retryFailed: true }),
        /notes\.txt line [12] is no line of a batch's output/,
      );
      assert.equal(Deno.readTextFileSync(path), text);
    }
  });
});

Deno.test("failed questions are taken out to be asked again", () => {
  withFolder((folder) => {
    const path = `${folder}/out.jsonl`;
    Deno.writeTextFileSync(path, failed + answered + failed + `{"id":"c"`);
    const output = openOutput(path, { retryFailed: true });
    output.append({ id: "b", response: "now" });
    output.close();
    assert.equal(
      Deno.readTextFileSync(path),
      `${answered}{"id":"b","response":"now"}\n`,
    );
    assert.deepEqual(
      [...Deno.readDirSync(folder)].map((entry) => entry.name),
      ["out.jsonl"],
    );
  });
});

Deno.test("two runs do not write one file", () => {
  withFolder((folder) => {
    const path = `${folder}/out.jsonl`;
    const first = openOutput(path, { retryFailed: false });
    assert.throws(
      () => openOutput(path, { retryFailed: false }),
      (error: unknown) =>
        error instanceof OutputError && /another run/.test(error.message),
    );
    first.close();
    openOutput(path, { retryFailed: false }).close();
  });
});

Deno.test("a folder that is not there", () => {
  assert.throws(
    () => openOutput("no/such/out.jsonl", { retryFailed: false }),
    (error: unknown) =>
      error instanceof OutputError &&
      /^cannot write no\/such\/out\.jsonl: /.test(error.message),
  );
});

/** A file on a disk with room for so many bytes. */
function smallDisk(room: number): AppendFile & { content: () => string } {
  let content = new Uint8Array();
  return {
    writeSync: (bytes) => {
      const fits = Math.min(bytes.length, room - content.length);
      if (fits <= 0) {
        throw new Error("No space left on device (os error 28)");
      }
      content = Uint8Array.of(...content, ...bytes.subarray(0, fits));
      return fits;
    },
    truncateSync: (length) => {
      content = content.slice(0, length);
    },
    close: () => {},
    content: () => new TextDecoder().decode(content),
  };
}

Deno.test("a full disk leaves whole lines and says so", () => {
  const line = { id: "a", response: "yes" };
  for (let room = 0; room < answered.length * 2; room++) {
    const disk = smallDisk(room);
    const writer = lineWriter("out.jsonl", disk, 0);
    const whole = Math.floor(room / answered.length);
    for (let i = 0; i < whole; i++) writer.append(line);
    for (let again = 0; again < 2; again++) {
      assert.throws(
        () => writer.append(line),
        (error: unknown) =>
          error instanceof OutputError &&
          error.message === "cannot write out.jsonl: no space left on device",
      );
    }
    assert.equal(disk.content(), answered.repeat(whole));
  }
});
