// Package lifecycle is the acceptance test of the embedded node's life: it starts cold and warm, keeps data, heals whatever of its programs is
// killed, and leaves nothing when it is reset.
//
// It needs root and the programs that `make node` builds (BERTH_NODE_BIN names another folder of them). Its node is an instance of its own
// beside any other: data folder /var/lib/berth-lifecycle-<pid>-<n>, instance "life", link 10.41.251.0/30, pods 10.93.0.0/16. All of it is
// removed at the end; what a test that was killed left is removed at the next start.
package lifecycle
