"""Writes tests/golden/media/pictures/: small pictures of every kind, and what Pillow makes of them.

expected.json holds, per picture, its size and the SHA-256 of `open(...).convert("RGB")`, and for
some grids the SHA-256 of the float32 tensor [n, 3, S, S] of the resized and normalised tiles: Pillow's
resize and crop, then torchvision's ToTensor and Normalize written out in torch's float32 arithmetic.
Pictures that Tessera refuses are listed with a word of the message it must give. AVIF has the decoded
pixels beside it, since it is only compared within limits.

Resizing is done in two calls of one direction each, which is what every Pillow before 12.2 does in
one. TIFFs are opened from memory: from a file, Pillow forgets the orientation of the uncompressed
kinds that it maps into memory.

Needs Pillow >= 11.3 with AVIF, numpy and torch.

    python3 tools/media/make_pictures.py
"""
import hashlib
import io
import json
import pathlib
import struct
import warnings
import zlib

import numpy as np
import PIL
import torch
from PIL import Image, ImageCms

warnings.simplefilter("ignore")
ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "golden" / "media" / "pictures"
MEAN = torch.tensor((0.485, 0.456, 0.406), dtype=torch.float32).view(-1, 1, 1)
STD = torch.tensor((0.229, 0.224, 0.225), dtype=torch.float32).view(-1, 1, 1)


# --- pictures -----------------------------------------------------------------------------------

def art(width, height, seed=0, detail=True):
    """Gradients, waves, hard edges and a patch of noise."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    rgb = np.stack(
        [
            127 + 127 * np.sin(x / 7 + seed) * np.cos(y / 11),
            255 * x / max(1, width - 1),
            255 * (((x // 8) + (y // 8) + seed) % 2) if detail else 255 * y / max(1, height - 1),
        ],
        -1,
    )
    if detail:
        rng = np.random.default_rng(seed)
        rows, columns = slice(height // 4, height // 2), slice(width // 3, width // 2)
        rgb[rows, columns] = rng.integers(0, 255, rgb[rows, columns].shape)
    return np.clip(rgb, 0, 255).astype(np.uint8)


def smooth(width, height, seed=0):
    """Soft shapes that compress well."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    rng = np.random.default_rng(seed)
    out = np.zeros((height, width, 3))
    for _ in range(12):
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        spread = rng.uniform(0.05, 0.3) * min(width, height)
        bump = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * spread**2))
        out += bump[..., None] * rng.uniform(40, 200, 3)
    return np.clip(out, 0, 255).astype(np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, *extra):
    """A PNG by hand, for kinds that Pillow does not write."""
    raw = b"".join(b"\0" + row for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(raw, 9)), chunk(b"IEND", b"")]
    )


def packed_rows(values, depth):
    """Rows of `depth`-bit samples, packed into bytes."""
    rows = []
    for row in values:
        bits = "".join(format(int(v), f"0{depth}b") for v in row)
        bits += "0" * (-len(bits) % 8)
        rows.append(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)))
    return rows


def lzw(pixels, bits):
    """GIF's LZW, cleared before the codes would grow wider."""
    clear = 1 << bits
    codes, count = [], 0
    for pixel in pixels:
        if count == 0:
            codes.append(clear)
        codes.append(pixel)
        count = (count + 1) % (clear - 2)
    codes.append(clear + 1)
    value = held = 0
    out = bytearray()
    for code in codes:
        value |= code << held
        held += bits + 1
        while held >= 8:
            out.append(value & 255)
            value >>= 8
            held -= 8
    if held:
        out.append(value & 255)
    blocks = b"".join(bytes([len(out[i : i + 255])]) + bytes(out[i : i + 255]) for i in range(0, len(out), 255))
    return bytes([bits]) + blocks + b"\0"


def gif(canvas, place, palette=None, local=None, transparent=None, background=0):
    """A GIF by hand whose frame covers a part of the canvas; 16 colours."""
    left, top, width, height = place
    pixels = [(i * 7) % 16 for i in range(width * height)]
    out = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x83 if palette else 0, background, 0) + (palette or b"")
    if transparent is not None:
        out += b"\x21\xf9\x04" + struct.pack("<BHB", 1, 0, transparent) + b"\0"
    out += b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0x83 if local else 0) + (local or b"")
    return out + lzw(pixels, 4) + b"\x3b"


def tiff(array, photometric, bits, sample_format=1, extra=None):
    """A little-endian TIFF by hand: one uncompressed strip."""
    height, width = array.shape[:2]
    samples = 1 if array.ndim == 2 else array.shape[2]
    data = array.tobytes()
    tags = {
        256: width, 257: height, 258: [bits] * samples, 259: 1, 262: photometric, 273: None, 277: samples,
        278: height, 279: len(data), 339: [sample_format] * samples,
    }
    if extra is not None:
        tags[338] = extra
    end = 8 + 2 + 12 * len(tags) + 4
    lists = b"".join(struct.pack(f"<{len(v)}H", *v) for v in tags.values() if isinstance(v, list) and len(v) > 2)
    entries, used = b"", 0
    for tag, value in sorted(tags.items()):
        if tag == 273:
            entries += struct.pack("<HHII", tag, 4, 1, end + len(lists))
        elif isinstance(value, list) and len(value) > 2:
            entries += struct.pack("<HHII", tag, 3, len(value), end + used)
            used += 2 * len(value)
        elif isinstance(value, list):
            entries += struct.pack("<HHI", tag, 3, len(value)) + struct.pack(f"<{len(value)}H", *value).ljust(4, b"\0")
        else:
            entries += struct.pack("<HHII", tag, 4, 1, value)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + lists + data


def wide_gamut():
    """An sRGB profile with red and green primaries exchanged: unlike sRGB beyond doubt."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2024, 4, 22, 0, 0, 0)  # its date, which would be that of the run
    offsets = {}
    for i in range(struct.unpack(">I", profile[128:132])[0]):
        name, offset, _ = struct.unpack(">4sII", profile[132 + 12 * i : 144 + 12 * i])
        offsets[name] = offset
    a, b = offsets[b"rXYZ"], offsets[b"gXYZ"]
    profile[a : a + 20], profile[b : b + 20] = profile[b : b + 20], profile[a : a + 20]
    return bytes(profile)


def pictures():
    """Yields (name, bytes)."""

    def save(picture, kind, **options):
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    width, height = 61, 47
    pixels = art(width, height)
    rgb = Image.fromarray(pixels)
    grey = rgb.convert("L")
    cmyk = rgb.convert("CMYK")
    x = np.mgrid[0:height, 0:width][1]
    alpha = np.clip(x * 5, 0, 255).astype(np.uint8)
    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray(alpha))
    frames = [Image.fromarray(art(width, height, seed)) for seed in range(3)]
    turned = Image.Exif()
    turned[0x112] = 6
    icc = wide_gamut()

    # JPEG
    yield "420.jpg", save(rgb, "JPEG", quality=85)
    yield "422.jpg", save(rgb, "JPEG", subsampling=1)
    yield "444.jpg", save(rgb, "JPEG", subsampling=0, quality=95)
    yield "grey.jpg", save(grey, "JPEG")
    yield "progressive.jpg", save(rgb, "JPEG", progressive=True)
    yield "rgb.jpg", save(rgb, "JPEG", keep_rgb=True)
    yield "exif6.jpg", save(rgb, "JPEG", exif=turned)
    yield "icc.jpg", save(rgb, "JPEG", icc_profile=icc)
    cmyk_jpeg = save(cmyk, "JPEG", quality=90)
    yield "cmyk.jpg", cmyk_jpeg
    ycck = bytearray(cmyk_jpeg)
    ycck[cmyk_jpeg.index(b"Adobe") + 11] = 2  # the marker's colour transform: YCCK
    yield "ycck.jpg", bytes(ycck)
    yield "odd-q50.jpg", save(Image.fromarray(smooth(1915, 1077, 1)), "JPEG", quality=50)
    yield "photo.jpg", save(Image.fromarray(smooth(800, 600, 2)), "JPEG", quality=80)
    yield "tall.jpg", save(Image.fromarray(smooth(250, 1500, 3)), "JPEG", quality=60)
    yield "wide.png", save(Image.fromarray(art(1001, 37, 4)), "PNG", optimize=True)
    yield "1x1.png", save(Image.fromarray(art(8, 8)[:1, :1].copy()), "PNG")
    yield "448.jpg", save(Image.fromarray(smooth(448, 448, 5)), "JPEG", quality=60)
    yield "mpo.jpg", save(rgb, "MPO", save_all=True, append_images=frames[1:2])

    # PNG
    yield "rgb.png", save(rgb, "PNG")
    yield "grey.png", save(grey, "PNG")
    yield "1bit.png", save(rgb.convert("1"), "PNG")
    yield "grey2.png", png(width, height, 2, 0, packed_rows(x % 4, 2))
    yield "grey4-trns.png", png(width, height, 4, 0, packed_rows(x % 16, 4), chunk(b"tRNS", b"\0\1"))
    wide = ((np.mgrid[0:height, 0:width][0] * width + x) // 5).astype(">u2")
    yield "grey16.png", png(width, height, 16, 0, [row.tobytes() for row in wide])
    yield "grey16-trns.png", png(width, height, 16, 0, [row.tobytes() for row in wide], chunk(b"tRNS", b"\0\x64"))
    yield "la16.png", png(width, height, 16, 4, [row.tobytes() for row in np.stack([wide * 40, wide], -1).astype(">u2")])
    rng = np.random.default_rng(9)
    rgb16 = np.clip(pixels.astype(int) * 257 + rng.integers(-100, 100, pixels.shape), 0, 65535).astype(">u2")
    yield "rgb16.png", png(width, height, 16, 2, [row.tobytes() for row in rgb16])
    yield "gamma.png", png(width, height, 8, 2, [row.tobytes() for row in pixels], chunk(b"gAMA", struct.pack(">I", 22222)))
    yield "palette.png", save(rgb.quantize(17), "PNG")
    yield "palette-trns.png", save(rgb.quantize(32), "PNG", transparency=bytes(range(0, 256, 8)))
    yield "rgb-trns.png", save(rgb, "PNG", transparency=(255, 0, 0))
    yield "rgba.png", save(rgba, "PNG")
    yield "la.png", save(rgba.convert("LA"), "PNG")
    yield "exif3.png", save(rgb, "PNG", exif=turned)
    yield "icc.png", save(rgb, "PNG", icc_profile=icc)
    yield "animated.png", save(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50)

    # WebP
    yield "lossy.webp", save(rgb, "WEBP", quality=60)
    yield "lossless.webp", save(rgb, "WEBP", lossless=True)
    yield "alpha.webp", save(rgba, "WEBP", quality=80)
    yield "alpha-exact.webp", save(rgba, "WEBP", lossless=True, exact=True)
    yield "animated.webp", save(frames[0], "WEBP", save_all=True, append_images=frames[1:], quality=70)
    yield "icc.webp", save(rgb, "WEBP", icc_profile=icc, exif=turned)

    # GIF
    few = [frame.quantize(16) for frame in frames]
    yield "static.gif", save(few[0], "GIF")
    yield "grey.gif", save(grey, "GIF")
    yield "interlaced.gif", save(few[0], "GIF", interlace=1)
    yield "animated.gif", save(few[0], "GIF", save_all=True, append_images=few[1:])
    yield "transparent.gif", save(few[0], "GIF", transparency=5)
    yield "animated-transparent.gif", save(few[0], "GIF", save_all=True, append_images=few[1:], transparency=2, disposal=2)
    one = bytes(rng.integers(0, 255, 48, dtype=np.uint8))
    two = bytes(rng.integers(0, 255, 48, dtype=np.uint8))
    part = (5, 6, 20, 15)
    yield "part.gif", gif((40, 30), part, palette=one, background=4)
    yield "part-local.gif", gif((40, 30), part, local=two)
    yield "part-transparent.gif", gif((40, 30), part, palette=one, local=two, transparent=7)
    yield "transparent-beyond.gif", gif((40, 30), part, palette=one, transparent=200)
    yield "outside.gif", gif((20, 15), (5, 5, 20, 15), palette=one)
    yield "no-palette.gif", gif((20, 15), (0, 0, 20, 15))

    # TIFF
    small = Image.fromarray(art(31, 23))
    yield "rgb.tif", save(small, "TIFF")
    yield "lzw.tif", save(rgb, "TIFF", compression="tiff_lzw")
    yield "jpeg.tif", save(rgb, "TIFF", compression="jpeg")
    yield "group4.tif", save(rgb.convert("1"), "TIFF", compression="group4")
    yield "palette.tif", save(rgb.quantize(32), "TIFF", compression="tiff_lzw")
    yield "rgba.tif", save(rgba, "TIFF", compression="tiff_lzw")
    yield "cmyk.tif", save(small.convert("CMYK"), "TIFF")
    for orientation in (2, 3, 4, 5, 6, 7, 8):
        yield f"turned{orientation}.tif", save(small, "TIFF", tiffinfo={274: orientation})
    yield "cmyk-turned6.tif", save(small.convert("CMYK"), "TIFF", tiffinfo={274: 6})
    part16 = wide[:23, :31]
    yield "grey16.tif", save(Image.fromarray(part16.astype(np.uint16)), "TIFF")
    yield "grey16-inverted.tif", tiff(part16.astype("<u2"), 0, 16)
    yield "rgb16.tif", tiff(rgb16[:23, :31].astype("<u2"), 2, 16)
    yield "pages.tif", save(small, "TIFF", save_all=True, append_images=[grey], compression="tiff_lzw")
    yield "ycbcr.tif", save(small.convert("YCbCr"), "TIFF")
    yield "cmyk16.tif", tiff(np.concatenate([rgb16, wide[..., None]], -1)[:23, :31].astype("<u2"), 5, 16)
    yield "signed16.tif", tiff(part16.astype("<i2"), 1, 16, sample_format=2)
    lab = small.convert("LAB")
    lab.info.clear()  # a profile with the date of the run
    yield "lab.tif", save(lab, "TIFF")

    # AVIF
    soft = Image.fromarray(smooth(96, 64, 6))
    yield "420.avif", save(soft, "AVIF", quality=80)
    yield "444.avif", save(soft, "AVIF", quality=90, subsampling="4:4:4")

    # Kinds that are refused
    yield "picture.bmp", save(Image.fromarray(art(8, 8)), "BMP")
    yield "picture.ppm", save(Image.fromarray(art(8, 8)), "PPM")
    yield "picture.jp2", save(Image.fromarray(art(32, 32)), "JPEG2000")
    yield "picture.ico", save(Image.fromarray(art(16, 16)), "ICO", sizes=[(16, 16)])
    yield "drawing.svg", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>\n'
    yield "bomb.png", png(30000, 30000, 1, 0, [b"\0"])


REFUSED = {
    "no-palette.gif": "without a palette",
    "ycbcr.tif": "YCbCr",
    "cmyk16.tif": "ushort",
    "signed16.tif": "short",
    "lab.tif": "TIFF",
    "picture.bmp": "BMP",
    "picture.ppm": "PNM",
    "picture.jp2": "JPEG 2000",
    "picture.ico": "icon",
    "drawing.svg": "SVG",
    "bomb.png": "pixels",
}


# --- what the reference makes of them -----------------------------------------------------------

def grid(width, height, most, tile):
    """The grid of the specification's section 4; see make_grids.py."""
    best, nearest = (1, 1), float("inf")
    choices = {(c, r) for c in range(1, most + 1) for r in range(1, most + 1) if c * r <= most}
    for columns, rows in sorted(choices, key=lambda g: g[0] * g[1]):
        distance = abs(width / height - columns / rows)
        if distance < nearest or (distance == nearest and width * height > 0.5 * tile * tile * columns * rows):
            best, nearest = (columns, rows), distance
    return best


def resize(picture, width, height):
    return picture.resize((width, picture.height)).resize((width, height))


def tensor(picture):
    """torchvision's ToTensor and Normalize."""
    data = torch.from_numpy(np.array(picture, dtype=np.uint8))
    return data.permute(2, 0, 1).contiguous().to(torch.float32).div(255).sub_(MEAN).div_(STD)


def tiles(picture, most, tile):
    columns, rows = grid(*picture.size, most, tile)
    whole = resize(picture, columns * tile, rows * tile)
    boxes = [(c * tile, r * tile, (c + 1) * tile, (r + 1) * tile) for r in range(rows) for c in range(columns)]
    return [columns, rows], torch.stack([tensor(whole.crop(box)) for box in boxes])


def digest(data):
    return hashlib.sha256(data).hexdigest()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    expected, refused, total = {}, {}, 0
    for name, data in pictures():
        (OUT / name).write_bytes(data)
        total += len(data)
        if name in REFUSED:
            refused[name] = REFUSED[name]
            continue
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        entry = {"size": list(picture.size), "rgb": digest(picture.tobytes())}
        if name.endswith(".avif"):
            picture.save(OUT / f"{name}.png", optimize=True)
            total += (OUT / f"{name}.png").stat().st_size
        else:
            entry["tiles"] = []
            # The true size for every fifth picture and for the large ones; small tiles for all.
            true_size = [(12, 448)] if len(expected) % 5 == 0 or len(data) > 10000 else []
            for most, tile in [*true_size, (12, 112), (40, 28), (6, 30)]:
                shape, pixels = tiles(picture, most, tile)
                entry["tiles"].append([most, tile, shape, digest(pixels.numpy().tobytes())])
            entry["thumbnail"] = digest(tensor(resize(picture, 448, 448)).numpy().tobytes())
        expected[name] = entry
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in expected.items())
    text = f'{{"pillow": "{PIL.__version__}", "refused": {json.dumps(refused)}, "pictures": {{\n{lines}\n}}}}\n'
    (OUT / "expected.json").write_text(text)
    print(f"{len(expected)} pictures, {len(refused)} refused, {total} bytes, expected.json {len(text)} bytes")


if __name__ == "__main__":
    main()
