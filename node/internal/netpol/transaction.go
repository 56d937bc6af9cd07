package netpol

import (
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// replace writes the whole table anew: the kernel swaps old for new at once, so there is no moment without rules.
func replace(tx *knftables.Transaction, podRange netip.Prefix, want Ruleset) {
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{})
	for _, m := range []string{egressMap, nodeMap, ingressMap} {
		tx.Add(&knftables.Map{Name: m, Type: "ipv4_addr : verdict"})
	}
	tx.Add(&knftables.Set{Name: nodeSet, Type: "ipv4_addr"})
	skeleton(tx, podRange.String())
	change(tx, Ruleset{
		Sets: map[string]Set{nodeSet: {Type: "ipv4_addr"}},
	}, want)
}

// skeleton adds the hooks and the fixed chains. Its rules are the same for every model.
func skeleton(tx *knftables.Transaction, pods string) {
	hook := func(name string, hook knftables.BaseChainHook, priority string) {
		tx.Add(&knftables.Chain{
			Name: name, Type: knftables.PtrTo(knftables.FilterType), Hook: &hook,
			Priority: knftables.PtrTo(knftables.BaseChainPriority(priority)),
		})
	}
	for _, c := range []string{fromPod, fromPodNode, afterEgress, toPod} {
		tx.Add(&knftables.Chain{Name: c})
	}
	rules := func(chain string, rules ...string) {
		for _, r := range rules {
			tx.Add(&knftables.Rule{Chain: chain, Rule: r})
		}
	}
	// Replies pass by the flow's entry, which goes when a policy closes the flow; packets in the flow's own direction are judged every time.
	replies := []string{"ct state established ct direction reply accept", "ct state related ip protocol icmp accept"}
	// Without the second, a peer's late packet would re-open a closed connection with the directions swapped.
	sane := []string{"ct state invalid counter drop", "ct state new tcp flags & (fin | syn | rst | ack) != syn counter drop"}

	hook("prerouting", knftables.PreroutingHook, "raw")
	rules("prerouting",
		`iifname "lo" accept`,
		"meta nfproto ipv6 counter drop",
		// A source that is not routed back the way it came is forged. The next rule would let the unspecified one ask for an address.
		"ip saddr 0.0.0.0/8 counter drop",
		"fib saddr . iif oif missing counter drop")
	// Before kube-proxy's filter rules, after every translation of the destination.
	hook("forward", knftables.ForwardHook, "filter - 10")
	rules("forward", replies...)
	rules("forward", "ip saddr "+pods+" goto "+fromPod, "ip daddr "+pods+" goto "+toPod)
	hook("input", knftables.InputHook, "filter - 10")
	rules("input", `iifname "lo" accept`)
	rules("input", replies...)
	rules("input", "ip saddr "+pods+" goto "+fromPodNode)

	rules(fromPod, sane...)
	rules(fromPod, "ip daddr @"+nodeSet+" goto "+fromPodNode, "ip saddr vmap @"+egressMap, "counter drop")
	rules(fromPodNode, sane...)
	rules(fromPodNode, "ip saddr vmap @"+nodeMap, "counter drop")
	rules(afterEgress, "ip daddr "+pods+" goto "+toPod, "accept")
	rules(toPod, sane...)
	rules(toPod, "ip saddr @"+nodeSet+" accept", "ip daddr vmap @"+ingressMap, "counter drop")
}

// change turns `have` into `want`, touching nothing that is equal. Things are added before they are referred to and deleted after.
func change(tx *knftables.Transaction, have, want Ruleset) {
	for name, set := range want.Sets {
		old, kept := have.Sets[name]
		if !kept {
			add := &knftables.Set{Name: name, Type: set.Type}
			if set.Interval {
				add.Flags = []knftables.SetFlag{knftables.IntervalFlag}
			}
			tx.Add(add)
		}
		for _, e := range missing(old.Elements, set.Elements) {
			tx.Delete(element(name, e))
		}
		for _, e := range missing(set.Elements, old.Elements) {
			tx.Add(element(name, e))
		}
	}
	changed := func(name string) bool {
		old, kept := have.Chains[name]
		return !kept || !slices.Equal(old.Rules, want.Chains[name].Rules)
	}
	for name, chain := range want.Chains {
		if !changed(name) {
			continue
		}
		tx.Add(&knftables.Chain{Name: name, Comment: &chain.Comment})
		tx.Flush(&knftables.Chain{Name: name})
		for _, rule := range chain.Rules {
			tx.Add(&knftables.Rule{Chain: name, Rule: rule})
		}
	}
	for name, verdicts := range have.Maps {
		for key, verdict := range verdicts {
			if want.Maps[name][key] != verdict {
				tx.Delete(&knftables.Element{Map: name, Key: []string{key}})
			}
		}
	}
	for name, verdicts := range want.Maps {
		for key, verdict := range verdicts {
			if have.Maps[name][key] != verdict {
				tx.Add(&knftables.Element{Map: name, Key: []string{key}, Value: []string{verdict}})
			}
		}
	}
	for name := range have.Chains {
		if _, kept := want.Chains[name]; !kept {
			tx.Flush(&knftables.Chain{Name: name})
			tx.Delete(&knftables.Chain{Name: name})
		}
	}
	for name := range have.Sets {
		if _, kept := want.Sets[name]; !kept {
			tx.Delete(&knftables.Set{Name: name})
		}
	}
}

func element(set, parts string) *knftables.Element {
	return &knftables.Element{Set: set, Key: strings.Split(parts, " . ")}
}

// missing gives what of `of` is not in `from`.
func missing(of, from []string) []string {
	have := make(map[string]bool, len(from))
	for _, f := range from {
		have[f] = true
	}
	var left []string
	for _, o := range of {
		if !have[o] {
			left = append(left, o)
		}
	}
	return left
}
