#!/usr/bin/env bash
# A Slurm of one node on the loopback, for tests: `slurm.sh start FOLDER`, `slurm.sh stop FOLDER`, as root on Debian.
# Installs the packages that are missing, and refuses where a Slurm is configured. The node says that it has eight cores
# and a GPU, so that what jobs ask for is asked for.
set -euo pipefail
config=/etc/slurm # a jobstep loses $SLURM_CONF
folder=$(realpath -m "$2")
daemons=(slurmd slurmctld munged)

if [ "$1" = stop ]; then
    for daemon in "${daemons[@]}"; do
        [ ! -e "$folder/$daemon.pid" ] || kill "$(cat "$folder/$daemon.pid")" || true # it may have died
    done
    ! grep -qs "=$folder/" "$config/slurm.conf" || rm "$config"/{slurm,gres}.conf
    exit
fi

if [ -e "$config/slurm.conf" ]; then
    echo "$config/slurm.conf: a Slurm is configured here already; this is for a machine without one" >&2
    exit 1
fi
command -v "${daemons[@]}" srun >/dev/null || {
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends slurmctld slurmd slurm-client munge
}
mkdir -p "$config" "$folder"/{state,spool}
node=$(hostname -s)
dd if=/dev/urandom of="$folder/munge.key" bs=128 count=1 status=none
chmod 400 "$folder/munge.key"
echo "NodeName=$node Name=gpu File=/dev/null" >"$config/gres.conf"
cat >"$config/slurm.conf" <<END
ClusterName=loopback
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MinJobAge=86400
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
NodeName=$node NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000 Gres=gpu:1
PartitionName=loopback Nodes=$node Default=YES State=UP
END

munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
slurmctld
slurmd
for _ in {1..60}; do
    [ "$(sinfo --noheader --format=%t 2>&1)" != idle ] || exit 0
    sleep 1
done
tail -n 20 "$folder"/*.log >&2
exit 1
