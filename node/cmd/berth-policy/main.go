// Command berth-policy is a chained CNI plugin: it lets a pod's network come up only when the policy controller has programmed the pod's
// rules. It must come after the plugin that gives the pod its address. A controller that does not answer fails the ADD.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"berth.dev/node/internal/netpol/hook"
)

// How long the controller may take, unless the configuration says otherwise; it may be restarting. A delete is only told, not waited for
// at length: it must succeed without a controller.
const (
	addPatience = 20 * time.Second
	delPatience = 2 * time.Second
)

type config struct {
	types.PluginConf
	Socket         string `json:"socket"`
	TimeoutSeconds int    `json:"timeoutSeconds,omitempty"`
}

func (c *config) patience() time.Duration {
	if c.TimeoutSeconds > 0 {
		return time.Duration(c.TimeoutSeconds) * time.Second
	}
	return addPatience
}

// podArgs are the words the kubelet's runtime adds to every call.
type podArgs struct {
	types.CommonArgs
	K8S_POD_NAMESPACE types.UnmarshallableString //nolint:revive // the names are the protocol's
	K8S_POD_NAME      types.UnmarshallableString
	K8S_POD_UID       types.UnmarshallableString
}

func main() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: del, Check: check, GC: nothing, Status: status}, version.All, "berth-policy")
}

func add(args *skel.CmdArgs) error {
	conf, err := read(args.StdinData)
	if err != nil {
		return err
	}
	if conf.PrevResult == nil {
		return errors.New("berth-policy must be chained after the plugin that gives the address")
	}
	result, err := current.NewResultFromResult(conf.PrevResult)
	if err != nil {
		return fmt.Errorf("reading the result so far: %w", err)
	}
	r, err := request(hook.Add, args)
	if err != nil {
		return err
	}
	for _, ip := range result.IPs {
		addr, ok := netip.AddrFromSlice(ip.Address.IP)
		if !ok {
			return fmt.Errorf("the pod's address %s cannot be read", ip.Address.IP)
		}
		r.Addresses = append(r.Addresses, addr.Unmap())
	}
	if err := call(conf.Socket, r, conf.patience()); err != nil {
		return err
	}
	return types.PrintResult(conf.PrevResult, conf.CNIVersion)
}

// del tells the controller but never fails: the runtime would repeat it for ever. An address nobody uses harms no one, and the next pod
// that gets it takes it over.
func del(args *skel.CmdArgs) error {
	conf, err := read(args.StdinData)
	if err != nil {
		return err
	}
	r, err := request(hook.Del, args)
	if err != nil {
		return err
	}
	_ = call(conf.Socket, r, delPatience) // see above
	return nil
}

func check(args *skel.CmdArgs) error {
	conf, err := read(args.StdinData)
	if err != nil {
		return err
	}
	r, err := request(hook.Check, args)
	if err != nil {
		return err
	}
	return call(conf.Socket, r, conf.patience())
}

func status(args *skel.CmdArgs) error {
	conf, err := read(args.StdinData)
	if err != nil {
		return err
	}
	return call(conf.Socket, hook.Request{Op: hook.Status}, delPatience)
}

// nothing is left for garbage collection: the controller follows the API server.
func nothing(*skel.CmdArgs) error { return nil }

func read(stdin []byte) (*config, error) {
	conf := &config{}
	if err := json.Unmarshal(stdin, conf); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if conf.Socket == "" {
		return nil, errors.New(`the configuration names no "socket"`)
	}
	if err := version.ParsePrevResult(&conf.PluginConf); err != nil {
		return nil, fmt.Errorf("reading the result so far: %w", err)
	}
	return conf, nil
}

func request(op hook.Op, args *skel.CmdArgs) (hook.Request, error) {
	pod := podArgs{CommonArgs: types.CommonArgs{IgnoreUnknown: true}}
	if err := types.LoadArgs(args.Args, &pod); err != nil {
		return hook.Request{}, fmt.Errorf("reading the arguments: %w", err)
	}
	return hook.Request{
		Op: op, Container: args.ContainerID,
		Namespace: string(pod.K8S_POD_NAMESPACE), Name: string(pod.K8S_POD_NAME), UID: string(pod.K8S_POD_UID),
	}, nil
}

func call(socket string, r hook.Request, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return hook.Call(ctx, socket, r)
}
