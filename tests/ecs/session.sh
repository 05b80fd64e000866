#!/usr/bin/env bash
# A session at the AWS CLI, from create-cluster to delete-cluster. PATH has the CLI, the environment its settings.
#
# `--cli-input-yaml` is of version 2 of the CLI, which pip does not have; `--cli-input-json` takes the same document.
set -euo pipefail
trap 'printf "session.sh: line %s failed\n" "$LINENO" >&2' ERR
cd "$(dirname "$0")/../.."

json() { python -c 'import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))' "$1"; }
is() { [[ $1 == "$2" ]] || { printf 'expected %s, found %s\n' "$2" "$1" >&2; exit 1; }; }
text() { aws ecs "$@" --output text; }

is "$(aws sts get-caller-identity --query Account --output text)" 000000000000
is "$(text create-cluster --cluster-name shop --query cluster.status)" ACTIVE
for name in hello web stubborn; do
  aws ecs register-task-definition --cli-input-json "$(json task-definitions/$name.yaml)" >/dev/null
done
is "$(text list-task-definition-families --query 'length(families)')" 3

task=$(text run-task --cluster shop --task-definition web --launch-type FARGATE \
  --network-configuration 'awsvpcConfiguration={subnets=[subnet-1],assignPublicIp=ENABLED}' \
  --query 'tasks[0].taskArn')
aws ecs wait tasks-running --cluster shop --tasks "$task"
is "$(text list-tasks --cluster shop --family web --query 'taskArns[0]')" "$task"
text stop-task --cluster shop --task "$task" --reason 'no longer needed' >/dev/null
aws ecs wait tasks-stopped --cluster shop --tasks "$task"
is "$(text describe-tasks --cluster shop --tasks "$task" --query 'tasks[0].stoppedReason')" 'no longer needed'

hello=$(text run-task --cluster shop --task-definition hello --query 'tasks[0].taskArn')
aws ecs wait tasks-stopped --cluster shop --tasks "$hello"
is "$(text describe-tasks --cluster shop --tasks "$hello" --query 'tasks[0].containers[0].exitCode')" 0

aws ecs create-service --cluster shop --cli-input-json "$(json services/web.yaml)" >/dev/null
aws ecs wait services-stable --cluster shop --services web
aws ecs update-service --cluster shop --service web --force-new-deployment --desired-count 1 >/dev/null
aws ecs wait services-stable --cluster shop --services web
is "$(text describe-services --cluster shop --services web --query 'services[0].runningCount')" 1
aws ecs update-service --cluster shop --service web --desired-count 0 >/dev/null
aws ecs delete-service --cluster shop --service web >/dev/null
aws ecs wait services-inactive --cluster shop --services web
is "$(text delete-cluster --cluster shop --query cluster.status)" INACTIVE
if refused=$(aws ecs describe-services --cluster shop --services web 2>&1); then exit 1; fi
[[ $refused == *ClusterNotFoundException*'Cluster not found.'* ]]
