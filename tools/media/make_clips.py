"""Writes tests/golden/media/clips/: small videos whose frames carry their number, and expected.json.

The top of every frame holds two rows of eight squares of 16 pixels: the bits of the frame's number,
most significant first, white for 1; below them their complement, so that a frame that was decoded
wrongly cannot pass for another. Below that something moves, so that the codecs have work to do.

expected.json lists per clip: frames and frames per second as a reader must report them, the size and
the clockwise rotation of the frames it must return, and the number of the first frame (which is not 0
where an edit list hides the beginning).

Needs ffmpeg on the PATH with libx264, libx265, libvpx and libsvtav1, and numpy.

    python3 tools/media/make_clips.py
"""
import json
import pathlib
import struct
import subprocess
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "golden" / "media" / "clips"
WIDTH, HEIGHT, SQUARE, BITS = 128, 80, 16, 8
BLACK, WHITE = 16, 235


def frame(number):
    """RGB bytes of one frame."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    picture = np.stack([(x * 2 + number * 3) % 256, (y * 3 + number) % 256, np.full(x.shape, 90)], -1).astype(np.uint8)
    for bit in range(BITS):
        on = number >> (BITS - 1 - bit) & 1
        left = bit * SQUARE
        picture[0:SQUARE, left : left + SQUARE] = WHITE if on else BLACK
        picture[SQUARE : 2 * SQUARE, left : left + SQUARE] = BLACK if on else WHITE
    return picture.tobytes()


def ffmpeg(*arguments, data=None):
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, input=data, check=True)


def encode(target, frames, *options, rate=30, before=()):
    """Encodes numbered frames; the options go between input and output."""
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(rate), *before, "-i", "-"]
    # No version strings in the files, so that a second run gives the same bytes.
    ffmpeg(*source, *options, "-fflags", "+bitexact", "-flags:v", "+bitexact", target, data=b"".join(map(frame, range(frames))))


def rotate(path, degrees):
    """Writes a rotation into the video track's header (tkhd) of an MP4 file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    matrix = at + (40 if data[at] == 0 else 52)
    one = 0x10000
    cosine, sine = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    shift = {90: (HEIGHT * one, 0), 180: (WIDTH * one, HEIGHT * one), 270: (0, WIDTH * one)}[degrees]
    data[matrix : matrix + 36] = struct.pack(">9i", cosine, sine, 0, -sine, cosine, 0, *shift, 0x40000000)
    path.write_bytes(data)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    x264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "32", "-threads", "1"]
    b_frames = [*x264, "-bf", "3", "-g", "24"]
    expected = {}

    def clip(name, frames, fps=30.0, first=0, rotation=0):
        size = [HEIGHT, WIDTH] if rotation in (90, 270) else [WIDTH, HEIGHT]
        expected[name] = {"frames": frames, "fps": fps, "size": size, "rotation": rotation, "first": first}
        return OUT / name

    encode(clip("h264.mp4", 96), 96, *b_frames)
    encode(clip("h264-ntsc.mp4", 64, 30000 / 1001), 64, *b_frames, rate="30000/1001")
    encode(clip("h264-fragmented.mp4", 64), 64, *b_frames, "-movflags", "frag_keyframe+empty_moov")
    encode(clip("h264-open-gop.mkv", 96), 96, *x264, "-x264-params", "open-gop=1:bframes=3:keyint=16:min-keyint=16:scenecut=0")
    encode(clip("h264-10bit.mkv", 48), 48, "-c:v", "libx264", "-pix_fmt", "yuv420p10le", "-crf", "30", "-threads", "1", "-g", "16")
    encode(
        clip("h264-709.mp4", 32), 32, *b_frames, "-vf", "scale=out_color_matrix=bt709:out_range=pc",
        "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "pc",
    )
    # Every third frame stays four times as long.
    vfr = "setpts='(N+3*floor((N+2)/3))/30/TB'"
    encode(clip("h264-vfr.mp4", 60, None), 60, *b_frames, "-vf", vfr, "-vsync", "passthrough", "-enc_time_base", "1/30")
    encode(clip("h265.mp4", 72), 72, "-c:v", "libx265", "-pix_fmt", "yuv420p", "-crf", "34", "-tag:v", "hvc1", "-x265-params", "log-level=error:keyint=24:pools=1:frame-threads=1")
    encode(clip("vp8.webm", 48), 48, "-c:v", "libvpx", "-b:v", "120k", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-g", "24", "-threads", "1")
    encode(clip("vp9.webm", 72), 72, "-c:v", "libvpx-vp9", "-crf", "45", "-b:v", "0", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-g", "30", "-threads", "1")
    encode(clip("av1.mp4", 40), 40, "-c:v", "libsvtav1", "-crf", "50", "-preset", "8", "-g", "20", "-svtav1-params", "lp=1")
    encode(clip("mpeg4.avi", 60), 60, "-c:v", "mpeg4", "-bf", "2", "-g", "15", "-q:v", "8")
    encode(clip("mjpeg.avi", 24), 24, "-c:v", "mjpeg", "-q:v", "12", "-pix_fmt", "yuvj420p")
    encode(clip("h264.m2t", 72), 72, *b_frames)
    encode(clip("h264.flv", 48), 48, *b_frames)
    encode(clip("animated.gif", 40, 25.0), 40, "-vf", "split[a][b];[a]palettegen=max_colors=16[p];[b][p]paletteuse=dither=none", rate=25)

    source = OUT / "h264.mp4"
    # Cut by copying: the key frame at 24 comes along, an edit list hides what lies before 30.
    ffmpeg("-ss", "1.0", "-i", source, "-c", "copy", "-fflags", "+bitexact", clip("edit-list.mp4", 66, 30.0, 30))
    for degrees in (90, 180, 270):
        target = clip(f"rotated{degrees}.mp4", 24, 30.0, 0, degrees)
        encode(target, 24, *b_frames)
        rotate(target, degrees)
    # Sound comes first, and the pictures start late.
    ffmpeg(
        "-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-itsoffset", "0.5", "-i", source, "-map", "0:a", "-map", "1:v",
        "-c:v", "copy", "-c:a", "aac", "-b:a", "16k", "-fflags", "+bitexact", "-flags:a", "+bitexact", clip("sound-first.mp4", 96),
    )
    ffmpeg("-i", OUT / "h264-open-gop.mkv", "-c", "copy", "-copyts", "-output_ts_offset", "-1", "-avoid_negative_ts", "disabled", "-fflags", "+bitexact", clip("negative-times.mkv", 96))
    expected["h264-vfr.mp4"]["fps"] = frame_rate(OUT / "h264-vfr.mp4")
    expected["h264.flv"]["fps"] = frame_rate(OUT / "h264.flv")

    broken = {}
    data = source.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        fast = pathlib.Path(folder) / "fast.mp4"
        ffmpeg("-i", source, "-c", "copy", "-movflags", "+faststart", "-fflags", "+bitexact", fast)
        broken["cut.mp4"] = fast.read_bytes()[: len(data) * 6 // 10]
        sound = pathlib.Path(folder) / "sound.mp4"
        ffmpeg("-f", "lavfi", "-i", "sine=frequency=440:duration=1", "-c:a", "aac", "-b:a", "16k", "-fflags", "+bitexact", "-flags:a", "+bitexact", sound)
        broken["sound-only.mp4"] = sound.read_bytes()
    broken["no-moov.mp4"] = data[: len(data) // 2]
    broken["empty.mp4"] = b""
    broken["text.mp4"] = b"This is no video, although its name says so.\n" * 9
    broken["playlist.mp4"] = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nh264.m2t\n#EXT-X-ENDLIST\n"
    broken["concat.mp4"] = b"ffconcat version 1.0\nfile h264.mp4\nfile /etc/passwd\n"
    damaged = bytearray(data)
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 3
    damaged[middle : middle + 64] = bytes(64)
    broken["damaged.mp4"] = bytes(damaged)
    for name, content in broken.items():
        (OUT / name).write_bytes(content)

    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in expected.items())
    (OUT / "expected.json").write_text("{\n" + lines + "\n}\n")
    total = sum(path.stat().st_size for path in OUT.iterdir())
    print(f"{len(expected)} clips, {len(broken)} broken ones, {total} bytes")


def frame_rate(path):
    """avg_frame_rate, which is what the reference's reader reports."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=avg_frame_rate", "-of", "csv=p=0", path]
    top, bottom = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().rstrip(",").split("/")
    return int(top) / int(bottom)


if __name__ == "__main__":
    main()
