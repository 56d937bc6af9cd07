package netpol

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"sigs.k8s.io/knftables"
)

const tableName = "berth_policy"

// firewall owns our table in the network namespace it was opened in, and remembers what it last put there.
type firewall struct {
	nft      knftables.Interface
	podRange netip.Prefix
	have     *Ruleset // nil: the kernel's state is unknown, the next apply replaces the whole table
}

func openFirewall(podRange netip.Prefix) (*firewall, error) {
	nft, err := knftables.New(knftables.InetFamily, tableName)
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	return &firewall{nft: nft, podRange: podRange}, nil
}

// present says whether the table with its hooks is in the kernel.
func (f *firewall) present(ctx context.Context) (bool, error) {
	chains, err := f.nft.List(ctx, "chains")
	if knftables.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("listing the policy table: %w", err)
	}
	for _, c := range []string{"prerouting", "forward", "input"} {
		if !slices.Contains(chains, c) {
			return false, nil
		}
	}
	return true, nil
}

// apply makes the kernel's rules those of the model, in one transaction. It says whether anything had to change.
func (f *firewall) apply(ctx context.Context, m *Model) (bool, error) {
	want := Render(m)
	tx := f.nft.NewTransaction()
	if f.have == nil {
		replace(tx, f.podRange, want)
	} else {
		change(tx, *f.have, want)
	}
	if tx.NumOperations() == 0 {
		return false, nil
	}
	f.have = nil
	if err := f.nft.Run(ctx, tx); err != nil {
		return false, fmt.Errorf("programming the policy table: %w", err)
	}
	f.have = &want
	return true, nil
}

// remove deletes the table.
func (f *firewall) remove(ctx context.Context) error {
	tx := f.nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	f.have = nil
	if err := f.nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("deleting the policy table: %w", err)
	}
	return nil
}
