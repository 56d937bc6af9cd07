package netpol

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"
)

// closeFlows ends the tracked flows that the model does not allow, so that no reply passes on the strength of an older policy.
// Flows from or to an address in `fresh`, which has just changed hands, end whatever the model says. It gives how many ended.
func closeFlows(m *Model, fresh map[netip.Addr]bool) (int, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return 0, fmt.Errorf("opening conntrack: %w", err)
	}
	defer func() { _ = conn.Close() }() // nothing was written that a failed close could lose
	flows, err := conn.Dump(nil)
	if err != nil {
		return 0, fmt.Errorf("listing tracked flows: %w", err)
	}
	ended := 0
	var failed error
	for _, flow := range flows {
		p := firstPacket(flow)
		if !p.Src.Is4() || (m.Allows(p) && !fresh[p.Src] && !fresh[p.Dst]) {
			continue
		}
		switch err := conn.Delete(flow); {
		case err == nil:
			ended++
		case errors.Is(err, unix.ENOENT): // it ended by itself
		default:
			failed = errors.Join(failed, fmt.Errorf("ending flow %s → %s: %w", p.Src, p.Dst, err))
		}
	}
	return ended, failed
}

// firstPacket gives the flow's first packet as the forward hook saw it: the destination after translation is where replies come from.
func firstPacket(f conntrack.Flow) Packet {
	p := Packet{
		Src: f.TupleOrig.IP.SourceAddress.Unmap(), Dst: f.TupleReply.IP.SourceAddress.Unmap(),
		Protocol: Protocol(f.TupleOrig.Proto.Protocol),
	}
	switch p.Protocol {
	case TCP, UDP, SCTP:
		p.DstPort = f.TupleReply.Proto.SourcePort
	}
	return p
}
