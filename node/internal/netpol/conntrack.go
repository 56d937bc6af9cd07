package netpol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

// The kernel filters tracked flows for us (Linux 5.8): a pod that opens a hundred thousand of them must not slow down another's change.
// Numbers are those of linux/netfilter/nfnetlink_conntrack.h.
const (
	msgGet, msgDelete = 1, 2
	ctaTupleOrig      = 1
	ctaTupleReply     = 2
	ctaTupleIP        = 1
	ctaIPv4Src        = 1
	ctaFilter         = 25
	filterOrigFlags   = 1
	filterReplyFlags  = 2
	filterBySource    = 1 << 0
	// With version 1 the kernel honours the family of a request to delete.
	requestVersion = 1
)

// about is a request concerning the flows whose packets in one direction (a ctaTuple) come from the address.
func about(message netfilter.MessageType, flags netlink.HeaderFlags, tuple uint16, addr netip.Addr) (netlink.Message, error) {
	direction := uint16(filterOrigFlags)
	if tuple == ctaTupleReply {
		direction = filterReplyFlags
	}
	match := netfilter.Attribute{Type: direction}
	match.Data = make([]byte, 4)
	// The one attribute in the machine's own byte order.
	binary.NativeEndian.PutUint32(match.Data, filterBySource)
	ip := addr.As4()
	return netfilter.MarshalNetlink(netfilter.Header{
		SubsystemID: netfilter.NFSubsysCTNetlink, MessageType: message, Family: netfilter.ProtoIPv4, Flags: flags, Version: requestVersion,
	}, []netfilter.Attribute{
		{Type: tuple, Nested: true, Children: []netfilter.Attribute{
			{Type: ctaTupleIP, Nested: true, Children: []netfilter.Attribute{{Type: ctaIPv4Src, Data: ip[:]}}},
		}},
		{Type: ctaFilter, Nested: true, Children: []netfilter.Attribute{match}},
	})
}

// ask sends one request for each direction: what the address began, and what it answers.
func ask(message netfilter.MessageType, flags netlink.HeaderFlags, addr netip.Addr) ([]netlink.Message, error) {
	conn, err := netfilter.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("opening conntrack: %w", err)
	}
	defer func() { _ = conn.Close() }() // nothing was written that a failed close could lose
	var answers []netlink.Message
	for _, tuple := range []uint16{ctaTupleOrig, ctaTupleReply} {
		request, err := about(message, flags, tuple, addr)
		if err != nil {
			return nil, fmt.Errorf("wording a request about the flows of %s: %w", addr, err)
		}
		got, err := conn.Query(request)
		if err != nil {
			return nil, fmt.Errorf("asking about the flows of %s: %w", addr, err)
		}
		answers = append(answers, got...)
	}
	return answers, nil
}

// forget ends every flow from or to an address, which has just changed hands.
func forget(addr netip.Addr) error {
	_, err := ask(msgDelete, netlink.Request|netlink.Acknowledge, addr)
	return err
}

// flowsOf lists the tracked flows from and to an address.
func flowsOf(addr netip.Addr) ([]conntrack.Flow, error) {
	answers, err := ask(msgGet, netlink.Request|netlink.Dump, addr)
	if err != nil {
		return nil, err
	}
	flows := make([]conntrack.Flow, 0, len(answers))
	for _, a := range answers {
		var e conntrack.Event // an entry of a list is worded like the event of a new one
		if err := e.Unmarshal(a); err != nil {
			return nil, fmt.Errorf("reading the flows of %s: %w", addr, err)
		}
		flows = append(flows, *e.Flow)
	}
	return flows, nil
}

// allFlows lists every tracked flow.
func allFlows() ([]conntrack.Flow, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("opening conntrack: %w", err)
	}
	defer func() { _ = conn.Close() }() // see above
	flows, err := conn.Dump(nil)
	if err != nil {
		return nil, fmt.Errorf("listing tracked flows: %w", err)
	}
	return flows, nil
}

// closeFlows ends those of the flows that the model does not allow, so that no reply passes on the strength of an older policy. It gives
// how many ended.
func closeFlows(flows []conntrack.Flow, model func() *Model) (int, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return 0, fmt.Errorf("opening conntrack: %w", err)
	}
	defer func() { _ = conn.Close() }() // see above
	ended := 0
	var failed error
	for _, flow := range flows {
		p := firstPacket(flow)
		if !p.Src.Is4() || model().Allows(p) {
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
