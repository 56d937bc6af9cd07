package netpol

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// Range is an inclusive range of IPv4 addresses.
type Range struct{ Lo, Hi netip.Addr }

func (r Range) contains(a netip.Addr) bool {
	return a.Compare(r.Lo) >= 0 && a.Compare(r.Hi) <= 0
}

// String is the range in nftables' words.
func (r Range) String() string {
	if r.Lo == r.Hi {
		return r.Lo.String()
	}
	return r.Lo.String() + "-" + r.Hi.String()
}

// span is a Range as numbers; 64 bits wide so that Hi+1 never wraps.
type span struct{ lo, hi uint64 }

func spanOf(p netip.Prefix) span {
	p = p.Masked()
	b := p.Addr().As4()
	lo := uint64(binary.BigEndian.Uint32(b[:]))
	return span{lo, lo + 1<<(32-p.Bits()) - 1}
}

func (s span) toRange() Range { return Range{number(s.lo), number(s.hi)} }

func number(n uint64) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b)
}

// subtract gives what of the block is left without the holes: disjoint, ascending, possibly nothing.
func subtract(block netip.Prefix, holes []netip.Prefix) []Range {
	cut := make([]span, 0, len(holes))
	for _, h := range holes {
		cut = append(cut, spanOf(h))
	}
	slices.SortFunc(cut, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	whole := spanOf(block)
	var left []Range
	next := whole.lo
	for _, c := range cut {
		if c.hi < next || c.lo > whole.hi {
			continue
		}
		if c.lo > next {
			left = append(left, span{next, c.lo - 1}.toRange())
		}
		next = c.hi + 1
	}
	if next <= whole.hi {
		left = append(left, span{next, whole.hi}.toRange())
	}
	return left
}

// PortRange is an inclusive range of ports of one protocol.
type PortRange struct {
	Protocol Protocol
	Lo, Hi   uint16
}

// String is the range in nftables' words, without the protocol.
func (p PortRange) String() string {
	if p.Lo == p.Hi {
		return fmt.Sprint(p.Lo)
	}
	return fmt.Sprintf("%d-%d", p.Lo, p.Hi)
}

// mergePorts sorts the ranges and joins those that touch or overlap, as an nftables interval set demands.
func mergePorts(ports []PortRange) []PortRange {
	slices.SortFunc(ports, func(a, b PortRange) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Hi, b.Hi))
	})
	var merged []PortRange
	for _, p := range ports {
		if n := len(merged); n > 0 && merged[n-1].Protocol == p.Protocol && int(p.Lo) <= int(merged[n-1].Hi)+1 {
			merged[n-1].Hi = max(merged[n-1].Hi, p.Hi)
			continue
		}
		merged = append(merged, p)
	}
	return merged
}
