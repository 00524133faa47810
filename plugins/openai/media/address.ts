/**
 * Which addresses a server may fetch from on behalf of a client: those of the public internet. Private,
 * loopback, link-local and other special ranges (IANA's special-purpose address registries) are not.
 * @module
 */
import { BlockList, isIP } from "node:net";

const special4 = new BlockList();
for (
  const [net, bits] of [
    ["0.0.0.0", 8],
    ["10.0.0.0", 8],
    ["100.64.0.0", 10],
    ["127.0.0.0", 8],
    ["169.254.0.0", 16],
    ["172.16.0.0", 12],
    ["192.0.0.0", 24],
    ["192.0.2.0", 24],
    ["192.88.99.0", 24],
    ["192.168.0.0", 16],
    ["198.18.0.0", 15],
    ["198.51.100.0", 24],
    ["203.0.113.0", 24],
    ["224.0.0.0", 4],
    ["240.0.0.0", 4],
  ] as const
) special4.addSubnet(net, bits, "ipv4");

/** The eight groups of an IPv6 address; `undefined` for what is none. */
function groupsOf(address: string): number[] | undefined {
  let text = address.split("%")[0]!;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted !== null) {
    const [a, b, c, d] = dotted.slice(2).map(Number);
    text = `${dotted[1]}${(a! << 8 | b!).toString(16)}:${
      (c! << 8 | d!).toString(16)
    }`;
  }
  const [head = "", tail] = text.split("::");
  const parse = (part: string) =>
    part === "" ? [] : part.split(":").map((group) => parseInt(group, 16));
  const before = parse(head), after = tail === undefined ? [] : parse(tail);
  const gap = 8 - before.length - after.length;
  if (tail === undefined ? gap !== 0 : gap < 0) return undefined;
  const groups = [...before, ...new Array<number>(gap).fill(0), ...after];
  return groups.every((group) => group >= 0 && group <= 0xffff)
    ? groups
    : undefined;
}

function isPublic6(address: string): boolean {
  const groups = groupsOf(address);
  if (groups === undefined) return false;
  const [a, b] = groups as [number, number];
  // ::ffff:a.b.c.d is the IPv4 address.
  if (
    groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  ) {
    const [g, h] = groups.slice(6) as [number, number];
    return isPublicAddress(`${g >> 8}.${g & 255}.${h >> 8}.${h & 255}`);
  }
  // Global unicast is 2000::/3, without Teredo and the like (2001::/23), documentation (2001:db8::/32,
  // 3fff::/20) and 6to4 (2002::/16), which reaches any IPv4 address.
  if (a >> 13 !== 1) return false;
  if (a === 0x2001 && (b < 0x200 || b === 0xdb8)) return false;
  return a !== 0x2002 && !(a === 0x3fff && b < 0x1000);
}

/** Whether an IP address belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special4.check(address, "ipv4");
    case 6:
      return isPublic6(address);
    default:
      return false;
  }
}
