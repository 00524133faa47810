"""The reference's preprocessing, one picture per line of standard input, for bench/preprocess.ts.

Pillow decodes, resizes and crops; torchvision's ToTensor and Normalize follow where torchvision is
installed, else the torch operations that they consist of (bit for bit the same tensors). One thread.

A line of input is a file's name and a grid ("4 3"), separated by a tab. A line of output is a JSON
object: wall and processor milliseconds of one picture, and the SHA-256 of its tensor when asked for by
a third field.
"""
import hashlib
import json
import sys
import time

import numpy as np
import PIL
import torch
from PIL import Image

torch.set_num_threads(1)
SIZE = 448
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

try:
    from torchvision import __version__ as torchvision_version
    from torchvision import transforms

    to_tensor = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    arithmetic = f"torchvision {torchvision_version}"
except Exception:  # not installed, or its compiled part does not fit this torch
    mean, std = (torch.tensor(v, dtype=torch.float32).view(-1, 1, 1) for v in (MEAN, STD))

    def to_tensor(picture):
        data = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        data = data.view(picture.size[1], picture.size[0], 3).permute(2, 0, 1).contiguous()
        return data.to(torch.float32).div(255).sub_(mean).div_(std)

    arithmetic = f"torch {torch.__version__}, as torchvision computes"


def preprocess(path, columns, rows):
    picture = Image.open(path).convert("RGB")
    whole = picture.resize((columns * SIZE, rows * SIZE))
    tiles = []
    for i in range(columns * rows):
        left, top = i % columns * SIZE, i // columns * SIZE
        tiles.append(whole.crop((left, top, left + SIZE, top + SIZE)))
    tiles.append(picture.resize((SIZE, SIZE)))
    return torch.stack([to_tensor(tile) for tile in tiles])


def main():
    print(json.dumps({"versions": f"Pillow {PIL.__version__}, {arithmetic}"}), flush=True)
    for line in sys.stdin:
        path, grid, *more = line.rstrip("\n").split("\t")
        columns, rows = map(int, grid.split())
        wall, cpu = time.perf_counter(), time.process_time()
        pixels = preprocess(path, columns, rows)
        answer = {"wall": (time.perf_counter() - wall) * 1e3, "cpu": (time.process_time() - cpu) * 1e3}
        if more:
            answer["sha256"] = hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
        del pixels
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
