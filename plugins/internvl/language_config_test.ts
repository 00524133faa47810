import assert from "node:assert/strict";
import { familyOf } from "./families.ts";
import {
  decodeLanguage,
  languageArchitecture,
  type LanguageConfig,
} from "./language_config.ts";

type Architecture = LanguageConfig["architecture"];

function decode(architecture: Architecture, file: object): LanguageConfig {
  const config = decodeLanguage(file, architecture, "llm_config");
  assert.ok(typeof config !== "string", String(config));
  return config;
}

function refusal(architecture: Architecture, file: object): string {
  const config = decodeLanguage(file, architecture, "llm_config");
  assert.ok(typeof config === "string");
  return config;
}

Deno.test("a class is found by the first of its architectures, or by its model type", () => {
  const cases: [object, Architecture][] = [
    [{ architectures: ["Qwen2ForCausalLM"] }, "Qwen2ForCausalLM"],
    [
      { architectures: ["LlamaForCausalLM"], model_type: "qwen2" },
      "LlamaForCausalLM",
    ],
    [{ model_type: "phi3" }, "Phi3ForCausalLM"],
    [{ model_type: "qwen3" }, "Qwen3ForCausalLM"],
  ];
  for (const [file, architecture] of cases) {
    assert.deepEqual(languageArchitecture(file, "llm_config"), {
      architecture,
    });
    assert.equal(familyOf(architecture).architecture, architecture);
  }
  for (const none of [{}, { architectures: [] }, undefined]) {
    assert.match(
      String(languageArchitecture(none, "llm_config")),
      /^llm_config\.architectures is missing; /,
    );
  }
});

Deno.test("missing values take the defaults of each family's class", () => {
  const shape = (architecture: Architecture, file: object = {}) => {
    const c = decode(architecture, file);
    return [c.kvHeads, c.headDim, c.intermediateSize, c.vocabSize];
  };
  assert.deepEqual(shape("LlamaForCausalLM"), [32, 128, 11008, 32000]);
  assert.deepEqual(shape("Qwen2ForCausalLM"), [32, 128, 22016, 151936]);
  // Wider heads than hidden_size over their number.
  assert.deepEqual(
    shape("Qwen3ForCausalLM", {
      hidden_size: 1024,
      num_attention_heads: 16,
      num_key_value_heads: 8,
    }),
    [8, 128, 22016, 151936],
  );
  const phi = decode("Phi3ForCausalLM", {});
  assert.equal(phi.headDim, 96);
  assert.equal(phi.rmsNormEps, 1e-5);
  assert.equal(phi.maxPositionEmbeddings, 4096);
});

Deno.test("each family has its own biases, whatever other families' keys say", () => {
  const biases = (architecture: Architecture, file: object = {}) => {
    const { qkvBias, outputBias } = decode(architecture, file);
    return [qkvBias, outputBias];
  };
  assert.deepEqual(biases("InternLM2ForCausalLM"), [true, true]);
  assert.deepEqual(biases("InternLM2ForCausalLM", { bias: false }), [
    false,
    false,
  ]);
  assert.deepEqual(biases("LlamaForCausalLM", { bias: true }), [false, false]);
  assert.deepEqual(biases("LlamaForCausalLM", { attention_bias: true }), [
    true,
    true,
  ]);
  assert.deepEqual(biases("Qwen2ForCausalLM", { attention_bias: false }), [
    true,
    false,
  ]);
  assert.deepEqual(biases("Qwen3ForCausalLM"), [false, false]);
  assert.deepEqual(biases("Phi3ForCausalLM", { attention_bias: true }), [
    false,
    false,
  ]);
});

const phiLong = (changes: object = {}) => ({
  hidden_size: 64,
  num_attention_heads: 4,
  max_position_embeddings: 131_072,
  original_max_position_embeddings: 4096,
  rope_scaling: {
    type: "su",
    short_factor: Array(8).fill(1),
    long_factor: Array(8).fill(2),
    ...changes,
  },
});

Deno.test("every kind of rope_scaling is read, by either key", () => {
  const scaling = (architecture: Architecture, file: object) =>
    decode(architecture, file).ropeScaling;
  const long = scaling("Phi3ForCausalLM", phiLong());
  assert.deepEqual(long, {
    type: "longrope",
    shortFactors: Array(8).fill(1),
    longFactors: Array(8).fill(2),
    originalLength: 4096,
    magnitude: Math.sqrt(1 + Math.log(32) / Math.log(4096)),
  });
  assert.deepEqual(
    scaling("LlamaForCausalLM", {
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      },
    }),
    {
      type: "llama3",
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalLength: 8192,
    },
  );
  assert.deepEqual(
    scaling("Qwen2ForCausalLM", {
      rope_scaling: {
        type: "yarn",
        factor: 4,
        original_max_position_embeddings: 32_768,
      },
    }),
    {
      type: "yarn",
      factor: 4,
      betaFast: 32,
      betaSlow: 1,
      originalLength: 32_768,
      magnitude: 0.1 * Math.log(4) + 1,
    },
  );
  for (
    const none of [{}, { rope_scaling: null }, {
      rope_scaling: { rope_type: "default" },
    }]
  ) assert.equal(scaling("Qwen2ForCausalLM", none), null);
});

Deno.test("what no graph computes is refused by its key", () => {
  const cases: [Architecture, object, RegExp][] = [
    [
      "LlamaForCausalLM",
      { mlp_bias: true },
      /^llm_config\.mlp_bias is true; false is supported/,
    ],
    [
      "Phi3ForCausalLM",
      { partial_rotary_factor: 0.75 },
      /partial_rotary_factor is 0\.75/,
    ],
    [
      "Phi3ForCausalLM",
      { sliding_window: 2047 },
      /sliding_window is 2047; one of max_position_embeddings \(4096\) or more/,
    ],
    [
      "Qwen2ForCausalLM",
      { sliding_window: 4096, use_sliding_window: true },
      /sliding_window is 4096/,
    ],
    [
      "LlamaForCausalLM",
      { rope_scaling: { type: "ntk" } },
      /rope_scaling: the type "ntk" is not supported; linear, /,
    ],
    ["LlamaForCausalLM", { rope_scaling: { factor: 2 } }, /undefined/],
    [
      "LlamaForCausalLM",
      { rope_scaling: { type: "yarn", factor: 0.5 } },
      /rope_scaling: .*factor/,
    ],
    [
      "LlamaForCausalLM",
      {
        rope_scaling: {
          type: "llama3",
          factor: 8,
          low_freq_factor: 4,
          high_freq_factor: 4,
          original_max_position_embeddings: 8192,
        },
      },
      /low_freq_factor 4 must be less than high_freq_factor 4/,
    ],
    [
      "Phi3ForCausalLM",
      phiLong({ long_factor: [1, 2] }),
      /long_factor has 2 numbers; half a head's width, 8, is expected/,
    ],
    ["Phi3ForCausalLM", phiLong({ short_factor: [0] }), /short_factor/],
    ["Qwen3ForCausalLM", { head_dim: 7 }, /heads of width 7 cannot be rotated/],
  ];
  for (const [architecture, file, message] of cases) {
    assert.match(refusal(architecture, file), message);
  }
  // Phi-3 with a window that nothing reaches, Qwen2 with one that is off.
  decode("Phi3ForCausalLM", { sliding_window: 4096 });
  decode("Qwen2ForCausalLM", { sliding_window: 10, use_sliding_window: false });
});
