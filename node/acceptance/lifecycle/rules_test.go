package lifecycle

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// rules are the lines of the machine's packet filter, each with the table and chain it is in.
type rules []string

var (
	counters = regexp.MustCompile(`counter packets \d+ bytes \d+|\[\d+:\d+\]`)
	// Other nodes of this machine come and go meanwhile; each has one table, named after it.
	otherNode = regexp.MustCompile(`^table ip berth_`)
)

// rules as nft and iptables tell them now.
func (n *node) rules() rules {
	n.Helper()
	var found rules
	for _, words := range [][]string{{"nft", "list", "ruleset"}, {"iptables-save"}, {"ip6tables-save"}} {
		output, err := exec.CommandContext(n.ctx, words[0], words[1:]...).Output()
		must(n, err)
		var table, chain string
		for line := range strings.Lines(counters.ReplaceAllString(string(output), "")) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || line == "}" || strings.HasPrefix(line, "#"):
				continue
			case strings.HasPrefix(line, "table ") || strings.HasPrefix(line, "*"):
				table, chain = strings.TrimSuffix(line, " {"), ""
			case strings.HasPrefix(line, "chain "):
				chain = strings.TrimSuffix(line, " {")
			}
			if otherNode.MatchString(table) && table != "table ip berth_"+instance {
				continue
			}
			found = append(found, strings.Join([]string{words[0], table, chain, line}, " | "))
		}
	}
	return found
}

// beyond are those that were not there before.
func (r rules) beyond(before rules) rules {
	return slices.DeleteFunc(slices.Clone(r), func(rule string) bool { return slices.Contains(before, rule) })
}
