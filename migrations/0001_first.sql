-- The first schema.
--
-- Times are milliseconds since 1970 in UTC, enums are the words of ECS, documents are JSON. What can
-- be refused here is refused here: a row that exists is a row that makes sense, whoever wrote it.

-- Which Neargate this is. One row, for as long as the database lives.
CREATE TABLE instance (
    singleton   INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    instance_id TEXT    NOT NULL CHECK (length(instance_id) = 8 AND instance_id NOT GLOB '*[^0-9a-f]*'),
    created_at  INTEGER NOT NULL
) STRICT;

-- A deleted cluster keeps its row, because the tasks that ran in it keep pointing at it.
CREATE TABLE clusters (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    -- What ECS knows of a cluster and Neargate only gives back: tags, settings and the like.
    kept       TEXT    NOT NULL DEFAULT '{}' CHECK (json_type(kept) = 'object')
) STRICT, WITHOUT ROWID;

-- Outlives every revision of the family, so that no revision is ever given twice.
CREATE TABLE families (
    family        TEXT    NOT NULL PRIMARY KEY CHECK (length(family) BETWEEN 1 AND 255),
    last_revision INTEGER NOT NULL CHECK (last_revision BETWEEN 1 AND 4294967295)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER families_only_count_up BEFORE UPDATE ON families
WHEN NEW.family IS NOT OLD.family OR NEW.last_revision <= OLD.last_revision
BEGIN
    SELECT RAISE(ABORT, 'the last revision of a family only counts up');
END;

CREATE TRIGGER families_stay BEFORE DELETE ON families
BEGIN
    SELECT RAISE(ABORT, 'a family is never forgotten');
END;

CREATE TABLE task_definitions (
    family          TEXT    NOT NULL REFERENCES families (family),
    revision        INTEGER NOT NULL CHECK (revision >= 1),
    status          TEXT    NOT NULL CHECK (status IN ('ACTIVE', 'INACTIVE')),
    -- As it was sent, and as Neargate understands it.
    document        TEXT    NOT NULL CHECK (json_valid(document)),
    parsed          TEXT    NOT NULL CHECK (json_valid(parsed)),
    warnings        TEXT    NOT NULL CHECK (json_type(warnings) = 'array'),
    registered_at   INTEGER NOT NULL,
    deregistered_at INTEGER,
    PRIMARY KEY (family, revision),
    CHECK ((status = 'INACTIVE') = (deregistered_at IS NOT NULL))
) STRICT;

CREATE TRIGGER task_definitions_never_change BEFORE UPDATE ON task_definitions
WHEN NEW.family IS NOT OLD.family OR NEW.revision IS NOT OLD.revision
  OR NEW.document IS NOT OLD.document OR NEW.parsed IS NOT OLD.parsed
  OR NEW.warnings IS NOT OLD.warnings OR NEW.registered_at IS NOT OLD.registered_at
  OR OLD.status = 'INACTIVE'
BEGIN
    SELECT RAISE(ABORT, 'a revision of a task definition never changes');
END;

CREATE TRIGGER task_definitions_leave_inactive BEFORE DELETE ON task_definitions
WHEN OLD.status = 'ACTIVE'
BEGIN
    SELECT RAISE(ABORT, 'only an INACTIVE task definition can be deleted');
END;

-- The states of a task in their order.
CREATE TABLE last_statuses (
    last_status TEXT    NOT NULL PRIMARY KEY,
    place       INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

INSERT INTO last_statuses (last_status, place) VALUES
    ('PROVISIONING', 1), ('PENDING', 2), ('ACTIVATING', 3), ('RUNNING', 4),
    ('DEACTIVATING', 5), ('STOPPING', 6), ('DEPROVISIONING', 7), ('STOPPED', 8);

CREATE TABLE tasks (
    -- The order in which tasks were accepted; every index ends in it, so every list is newest first.
    seq                  INTEGER NOT NULL PRIMARY KEY,
    id                   TEXT    NOT NULL UNIQUE CHECK (length(id) = 32 AND id NOT GLOB '*[^0-9a-f]*'),
    cluster              TEXT    NOT NULL REFERENCES clusters (name),
    -- Copied out of `spec`, to be found by.
    family               TEXT    NOT NULL,
    spec                 TEXT    NOT NULL CHECK (json_type(spec) = 'object'),
    task_group           TEXT    NOT NULL,
    started_by           TEXT,
    tags                 TEXT    NOT NULL CHECK (json_type(tags) = 'object'),
    overrides            TEXT    NOT NULL CHECK (json_valid(overrides)),

    -- Written by the API alone.
    stop_requested_at    INTEGER,
    stop_request_reason  TEXT    CHECK (stop_request_reason IS NULL OR stop_requested_at IS NOT NULL),
    -- Who asked: a user, or the service or schedule that the task belongs to.
    stop_request_code    TEXT    CHECK (stop_request_code IN ('UserInitiated', 'ServiceSchedulerInitiated')),

    -- Written by the planner alone.
    planned_status       TEXT    NOT NULL CHECK (planned_status IN ('RUNNING', 'STOPPED')),
    stop_code            TEXT    CHECK (stop_code IN ('TaskFailedToStart', 'EssentialContainerExited',
                                        'UserInitiated', 'ServiceSchedulerInitiated', 'TerminationNotice')),
    stopped_reason       TEXT,
    waiting              TEXT,

    -- Written from the engine's report alone.
    last_status          TEXT    NOT NULL REFERENCES last_statuses (last_status),
    -- What the health checks of its essential containers say; NULL when it has none.
    health               TEXT    CHECK (health IN ('HEALTHY', 'UNKNOWN', 'UNHEALTHY')),
    address              TEXT,
    -- What holds it to its CPU and memory.
    limits_enforced_by   TEXT    CHECK (limits_enforced_by IN ('taskCgroup', 'containers')),
    created_at           INTEGER NOT NULL,
    pull_started_at      INTEGER,
    pull_stopped_at      INTEGER,
    -- How far the pull of its images has come, while it goes on.
    pull_current_bytes   INTEGER CHECK (pull_current_bytes >= 0),
    pull_total_bytes     INTEGER CHECK (pull_total_bytes >= 0),
    started_at           INTEGER,
    -- When its health checks first said that it is HEALTHY.
    healthy_at           INTEGER,
    stopping_at          INTEGER,
    execution_stopped_at INTEGER,
    stopped_at           INTEGER,
    cleaned_at           INTEGER,

    version              INTEGER NOT NULL CHECK (version >= 0),

    -- Written by the service that it belongs to, if it does to one: that its failure was counted, and that its end was
    -- taken note of.
    is_counted           INTEGER NOT NULL DEFAULT 0 CHECK (is_counted IN (0, 1)),
    is_noted             INTEGER NOT NULL DEFAULT 0 CHECK (is_noted IN (0, 1)),
    -- Written by the API: it is not chosen to be stopped by its service until then.
    protected_until      INTEGER,

    CHECK (is_noted = 0 OR last_status = 'STOPPED'),
    CHECK (last_status <> 'RUNNING' OR started_at IS NOT NULL),
    CHECK ((last_status = 'STOPPED') = (stopped_at IS NOT NULL)),
    CHECK (last_status <> 'STOPPED' OR planned_status = 'STOPPED' OR stop_requested_at IS NOT NULL),
    CHECK ((stop_requested_at IS NULL) = (stop_request_code IS NULL)),
    CHECK ((pull_current_bytes IS NULL) = (pull_total_bytes IS NULL)),
    CHECK (cleaned_at IS NULL OR last_status = 'STOPPED')
) STRICT;

CREATE INDEX tasks_by_cluster ON tasks (cluster);
CREATE INDEX tasks_by_family ON tasks (family);
CREATE INDEX tasks_by_group ON tasks (task_group);
CREATE INDEX tasks_by_started_by ON tasks (started_by) WHERE started_by IS NOT NULL;
-- These stay as small as what is going on, however long the history is.
CREATE INDEX tasks_unstopped ON tasks (cluster, last_status) WHERE last_status <> 'STOPPED';
CREATE INDEX tasks_unstopped_by_group ON tasks (task_group) WHERE last_status <> 'STOPPED';
-- What a service is planned from.
CREATE INDEX tasks_of_services ON tasks (cluster, task_group, seq) WHERE is_noted = 0 AND task_group GLOB 'service:*';
-- What a schedule is planned from.
CREATE INDEX tasks_of_schedules ON tasks (started_by, id) WHERE last_status <> 'STOPPED' AND started_by GLOB 'schedule/*';
CREATE INDEX tasks_provisioning ON tasks (seq, id) WHERE last_status = 'PROVISIONING';
CREATE INDEX tasks_unfinished ON tasks (seq, id) WHERE cleaned_at IS NULL;
-- What is looked for among all others: those that wait for something before they run, and the newest that have stopped.
CREATE INDEX tasks_waiting ON tasks (seq) WHERE waiting IS NOT NULL AND last_status IN ('PROVISIONING', 'PENDING');
CREATE INDEX tasks_stopped ON tasks (seq) WHERE last_status = 'STOPPED';

CREATE TRIGGER tasks_only_move_forward BEFORE UPDATE OF last_status ON tasks
WHEN (SELECT place FROM last_statuses WHERE last_status = NEW.last_status)
   < (SELECT place FROM last_statuses WHERE last_status = OLD.last_status)
BEGIN
    SELECT RAISE(ABORT, 'lastStatus never goes back');
END;

CREATE TRIGGER tasks_keep_their_order BEFORE UPDATE OF
    seq, id, cluster, family, spec, task_group, started_by, tags, overrides, created_at ON tasks
BEGIN
    SELECT RAISE(ABORT, 'what a task was accepted with never changes');
END;

CREATE TRIGGER tasks_stop_once BEFORE UPDATE OF stop_requested_at, stop_request_reason, stop_request_code ON tasks
WHEN OLD.stop_requested_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a request to stop is never taken back');
END;

CREATE TABLE containers (
    task_id          TEXT    NOT NULL REFERENCES tasks (id),
    name             TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    last_status      TEXT    NOT NULL CHECK (last_status IN ('PENDING', 'RUNNING', 'STOPPED')),
    runtime_id       TEXT,
    image_digest     TEXT,
    started_at       INTEGER,
    -- While it is PENDING again, those of the attempt before.
    finished_at      INTEGER CHECK (finished_at IS NULL OR last_status = 'STOPPED' OR (last_status = 'PENDING' AND attempt > 0)),
    exit_code        INTEGER CHECK (exit_code IS NULL OR last_status = 'STOPPED' OR (last_status = 'PENDING' AND attempt > 0)),
    reason           TEXT,
    health           TEXT    NOT NULL CHECK (health IN ('HEALTHY', 'UNKNOWN', 'UNHEALTHY')),
    network_bindings TEXT    NOT NULL CHECK (json_type(network_bindings) = 'array'),
    -- Which attempt to run it this is, and how often it was in fact started again.
    attempt          INTEGER NOT NULL CHECK (attempt BETWEEN 0 AND 4294967295),
    restart_count    INTEGER NOT NULL CHECK (restart_count BETWEEN 0 AND attempt),
    PRIMARY KEY (task_id, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER containers_count_up BEFORE UPDATE OF attempt, restart_count ON containers
WHEN NEW.attempt < OLD.attempt OR NEW.restart_count < OLD.restart_count
BEGIN
    SELECT RAISE(ABORT, 'restarts of a container are only counted up');
END;

-- Log groups of CloudWatch Logs. What was written lies where the containers' logs lie; groups and streams are views of that.
CREATE TABLE log_groups (
    name              TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 512),
    retention_in_days INTEGER CHECK (retention_in_days BETWEEN 1 AND 3653),
    tags              TEXT    NOT NULL CHECK (json_type(tags) = 'object'),
    created_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whose log a stream shows; nobody's, if a client made it.
CREATE TABLE log_streams (
    seq        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    log_group  TEXT    NOT NULL REFERENCES log_groups (name),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 512),
    task_id    TEXT    REFERENCES tasks (id),
    container  TEXT,
    created_at INTEGER NOT NULL,
    CHECK ((task_id IS NULL) = (container IS NULL))
) STRICT;

CREATE UNIQUE INDEX log_streams_by_name ON log_streams (log_group, name);
CREATE INDEX log_streams_by_group ON log_streams (log_group, seq);

-- Secrets, sealed: whoever has this file and not the key file beside it has nothing of them.
CREATE TABLE secrets (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 255),
    version    INTEGER NOT NULL CHECK (version >= 1),
    -- Tells the key that it was sealed with from others.
    key_id     TEXT    NOT NULL CHECK (length(key_id) = 16 AND key_id NOT GLOB '*[^0-9a-f]*'),
    nonce      BLOB    NOT NULL CHECK (length(nonce) = 24),
    -- The value, and a tag of 16 bytes.
    ciphertext BLOB    NOT NULL CHECK (length(ciphertext) BETWEEN 17 AND 65552),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the clients of AWS sign with. A key that is revoked keeps its row, and loses its secret.
CREATE TABLE access_keys (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 20),
    user_name  TEXT    NOT NULL CHECK (length(user_name) BETWEEN 1 AND 64),
    role       TEXT    NOT NULL CHECK (role IN ('admin', 'read-only')),
    -- As with secrets.
    key_id     TEXT    CHECK (length(key_id) = 16 AND key_id NOT GLOB '*[^0-9a-f]*'),
    nonce      BLOB    CHECK (length(nonce) = 24),
    ciphertext BLOB    CHECK (length(ciphertext) BETWEEN 17 AND 65552),
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    CHECK ((revoked_at IS NULL) = (key_id IS NOT NULL)),
    CHECK ((key_id IS NULL) = (nonce IS NULL) AND (nonce IS NULL) = (ciphertext IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TRIGGER access_keys_are_only_revoked BEFORE UPDATE ON access_keys
WHEN NEW.id IS NOT OLD.id OR NEW.user_name IS NOT OLD.user_name OR NEW.role IS NOT OLD.role
  OR NEW.created_at IS NOT OLD.created_at OR NEW.revoked_at IS NULL OR OLD.revoked_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an access key is revoked once, and never changed');
END;

-- Images that were not on the engine before Neargate pulled them: what may be removed when nobody needs it.
CREATE TABLE pulled_images (
    image_id     TEXT    NOT NULL PRIMARY KEY CHECK (image_id <> ''),
    reference    TEXT    NOT NULL CHECK (reference <> ''),
    last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the clients of ECS give and get back, beside what it belongs to.
CREATE TABLE kept_documents (
    kind     TEXT NOT NULL CHECK (kind IN ('account-setting', 'capacity-provider', 'tags-of-task', 'tags-of-task-definition')),
    name     TEXT NOT NULL CHECK (name <> ''),
    document TEXT NOT NULL CHECK (json_type(document) = 'object'),
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER task_definitions_take_their_tags AFTER DELETE ON task_definitions
BEGIN
    DELETE FROM kept_documents WHERE kind = 'tags-of-task-definition' AND name = OLD.family || ':' || OLD.revision;
END;

-- Services. One that is INACTIVE keeps its row; its name can be used again.
CREATE TABLE services (
    seq           INTEGER NOT NULL PRIMARY KEY,
    cluster       TEXT    NOT NULL REFERENCES clusters (name),
    name          TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    status        TEXT    NOT NULL CHECK (status IN ('ACTIVE', 'DRAINING', 'INACTIVE')),
    desired_count INTEGER NOT NULL CHECK (desired_count BETWEEN 0 AND 5000),
    -- JSON of the domain's types: `ServiceConfiguration`, tags, the deployments that matter now.
    configuration TEXT    NOT NULL CHECK (json_type(configuration) = 'object'),
    tags          TEXT    NOT NULL CHECK (json_type(tags) = 'object'),
    deployments   TEXT    NOT NULL CHECK (json_type(deployments) = 'array'),
    -- The same of `TaskSet`, of a service whose deployments somebody else carries out.
    task_sets     TEXT    NOT NULL DEFAULT '[]' CHECK (json_type(task_sets) = 'array'),
    -- JSON: where the last deployment that was COMPLETED has moved to.
    completed     TEXT    CHECK (json_type(completed) = 'object'),
    is_steady     INTEGER NOT NULL CHECK (is_steady IN (0, 1)),
    waiting       TEXT,
    created_at    INTEGER NOT NULL,
    deleted_at    INTEGER CHECK ((deleted_at IS NULL) = (status = 'ACTIVE')),
    version       INTEGER NOT NULL CHECK (version >= 1)
) STRICT;

CREATE UNIQUE INDEX services_by_name ON services (cluster, name) WHERE status <> 'INACTIVE';
CREATE INDEX services_by_any_name ON services (cluster, name, seq);

CREATE TRIGGER services_count_up BEFORE UPDATE ON services
WHEN NEW.version <> OLD.version + 1 OR NEW.cluster IS NOT OLD.cluster OR NEW.name IS NOT OLD.name
  OR NEW.created_at IS NOT OLD.created_at OR OLD.status = 'INACTIVE'
BEGIN
    SELECT RAISE(ABORT, 'a service is only changed by whoever has seen its newest version');
END;

-- Services whose desired count is scaled: JSON of the domain's `ScalableTarget`.
CREATE TABLE scalable_targets (
    cluster TEXT NOT NULL REFERENCES clusters (name),
    service TEXT NOT NULL,
    target  TEXT NOT NULL CHECK (json_type(target) = 'object'),
    PRIMARY KEY (cluster, service)
) STRICT, WITHOUT ROWID;

CREATE TABLE scaling_policies (
    cluster TEXT NOT NULL,
    service TEXT NOT NULL,
    name    TEXT NOT NULL,
    policy  TEXT NOT NULL CHECK (json_type(policy) = 'object'),
    PRIMARY KEY (cluster, service, name),
    FOREIGN KEY (cluster, service) REFERENCES scalable_targets (cluster, service)
) STRICT, WITHOUT ROWID;

-- The newest activities of every target.
CREATE TABLE scaling_activities (
    seq      INTEGER NOT NULL PRIMARY KEY,
    id       TEXT    NOT NULL UNIQUE,
    cluster  TEXT    NOT NULL,
    service  TEXT    NOT NULL,
    activity TEXT    NOT NULL CHECK (json_type(activity) = 'object'),
    is_open  INTEGER NOT NULL CHECK (is_open IN (0, 1)),
    FOREIGN KEY (cluster, service) REFERENCES scalable_targets (cluster, service)
) STRICT;

CREATE INDEX scaling_activities_by_service ON scaling_activities (cluster, service, seq);

-- The newest deployments of every service, as they were last recorded.
CREATE TABLE service_deployments (
    seq              INTEGER NOT NULL PRIMARY KEY,
    id               TEXT    NOT NULL UNIQUE,
    cluster          TEXT    NOT NULL,
    service          TEXT    NOT NULL,
    service_revision TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    deployment       TEXT    NOT NULL CHECK (json_type(deployment) = 'object')
) STRICT;

CREATE INDEX service_deployments_by_service ON service_deployments (cluster, service, seq);

-- What they moved their services to.
CREATE TABLE service_revisions (
    seq      INTEGER NOT NULL PRIMARY KEY,
    id       TEXT    NOT NULL UNIQUE,
    cluster  TEXT    NOT NULL,
    service  TEXT    NOT NULL,
    revision TEXT    NOT NULL CHECK (json_type(revision) = 'object')
) STRICT;

CREATE INDEX service_revisions_by_service ON service_revisions (cluster, service, seq);

CREATE TRIGGER service_revisions_never_change BEFORE UPDATE ON service_revisions
BEGIN
    SELECT RAISE(ABORT, 'a revision of a service never changes');
END;

-- What the tasks of a deployment that failed last wrote, for when their logs are gone.
CREATE TABLE failed_task_lines (
    seq        INTEGER NOT NULL PRIMARY KEY,
    task_id    TEXT    NOT NULL UNIQUE REFERENCES tasks (id),
    deployment TEXT    NOT NULL,
    lines      TEXT    NOT NULL CHECK (json_type(lines) = 'array')
) STRICT;

CREATE INDEX failed_task_lines_by_deployment ON failed_task_lines (deployment, seq);

CREATE TRIGGER service_deployments_take_their_lines AFTER DELETE ON service_deployments
BEGIN
    DELETE FROM failed_task_lines WHERE deployment = OLD.id;
END;

-- Schedules. The number of one that was deleted is not given again.
CREATE TABLE schedules (
    seq           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
    -- JSON of the domain's types: `ScheduleDefinition`, `PendingRun`.
    definition    TEXT    NOT NULL CHECK (json_type(definition) = 'object'),
    anchored_at   INTEGER NOT NULL,
    decided_until INTEGER NOT NULL,
    pending       TEXT    CHECK (pending IS NULL OR json_type(pending) = 'object'),
    -- Its next occurrence, to be found by.
    next_at       INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    version       INTEGER NOT NULL CHECK (version >= 1)
) STRICT;

CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX schedules_pending ON schedules (seq) WHERE pending IS NOT NULL;

CREATE TRIGGER schedules_count_up BEFORE UPDATE ON schedules
WHEN NEW.version <> OLD.version + 1 OR NEW.name IS NOT OLD.name OR NEW.created_at IS NOT OLD.created_at
BEGIN
    SELECT RAISE(ABORT, 'a schedule is only changed by whoever has seen its newest version');
END;

CREATE TRIGGER schedules_never_go_back BEFORE UPDATE OF decided_until ON schedules
WHEN NEW.decided_until < OLD.decided_until
BEGIN
    SELECT RAISE(ABORT, 'an occurrence that was decided about stays so');
END;

-- What became of the newest occurrences of each schedule.
CREATE TABLE schedule_runs (
    seq           INTEGER NOT NULL PRIMARY KEY,
    schedule      INTEGER NOT NULL REFERENCES schedules (seq) ON DELETE CASCADE,
    scheduled_for INTEGER NOT NULL,
    cause         TEXT    NOT NULL CHECK (cause IN ('schedule', 'user')),
    decided_at    INTEGER NOT NULL,
    outcome       TEXT    NOT NULL CHECK (outcome IN ('STARTED', 'SKIPPED', 'MISSED', 'FAILED')),
    reason        TEXT,
    task_ids      TEXT    NOT NULL CHECK (json_type(task_ids) = 'array'),
    CHECK ((outcome = 'STARTED') = (task_ids <> '[]'))
) STRICT;

-- No occurrence has two runs.
CREATE UNIQUE INDEX schedule_runs_once ON schedule_runs (schedule, scheduled_for) WHERE cause = 'schedule';
CREATE INDEX schedule_runs_by_schedule ON schedule_runs (schedule, seq);

-- What a call's clientToken was answered with, for as long as it is remembered.
CREATE TABLE client_tokens (
    cluster      TEXT    NOT NULL REFERENCES clusters (name),
    call         TEXT    NOT NULL CHECK (call IN ('RunTask', 'CreateService', 'CreateTaskSet')),
    token        TEXT    NOT NULL,
    request_hash TEXT    NOT NULL,
    -- JSON: the IDs of the tasks, when the service was created, or the ID of the task set.
    answer       TEXT    NOT NULL CHECK (json_valid(answer)),
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (cluster, call, token)
) STRICT, WITHOUT ROWID;

CREATE INDEX client_tokens_by_age ON client_tokens (created_at);

-- Stretches of time in which the host was not started anew and its wall clock was not set: how far that is ahead of a clock
-- that only runs, in milliseconds. `last_ms` is the heartbeat: all tasks that were running were seen to run then.
CREATE TABLE clock_stretches (
    seq       INTEGER NOT NULL PRIMARY KEY,
    -- Of the host; empty where nobody can know.
    boot_id   TEXT    NOT NULL,
    offset_ms INTEGER NOT NULL,
    first_ms  INTEGER NOT NULL,
    last_ms   INTEGER NOT NULL CHECK (last_ms >= first_ms)
) STRICT;

CREATE TRIGGER clock_stretches_go_on BEFORE UPDATE ON clock_stretches
WHEN NEW.seq IS NOT OLD.seq OR NEW.boot_id IS NOT OLD.boot_id OR NEW.offset_ms IS NOT OLD.offset_ms
  OR NEW.first_ms IS NOT OLD.first_ms OR NEW.last_ms < OLD.last_ms
BEGIN
    SELECT RAISE(ABORT, 'of a stretch of time only the end moves on');
END;

CREATE TRIGGER clock_stretches_stay BEFORE DELETE ON clock_stretches
BEGIN
    SELECT RAISE(ABORT, 'clocks are never forgotten');
END;

-- What the engine has to give, a row for each change.
CREATE TABLE capacities (
    seq        INTEGER NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    cpu_units  INTEGER NOT NULL CHECK (cpu_units >= 0),
    memory_mib INTEGER NOT NULL CHECK (memory_mib >= 0)
) STRICT;

CREATE TRIGGER capacities_never_change BEFORE UPDATE ON capacities
BEGIN
    SELECT RAISE(ABORT, 'what there was to give never changes');
END;

CREATE TRIGGER capacities_stay BEFORE DELETE ON capacities
BEGIN
    SELECT RAISE(ABORT, 'what there was to give is never forgotten');
END;

-- What bills are made of. The primary key is what makes it one interval per task.
CREATE TABLE usage_intervals (
    task_id      TEXT    NOT NULL PRIMARY KEY REFERENCES tasks (id),
    cluster      TEXT    NOT NULL,
    family       TEXT    NOT NULL,
    revision     INTEGER NOT NULL CHECK (revision BETWEEN 1 AND 4294967295),
    cpu_units    INTEGER NOT NULL CHECK (cpu_units BETWEEN 0 AND 4294967295),
    memory_mib   INTEGER NOT NULL CHECK (memory_mib BETWEEN 0 AND 4294967295),
    opened_at    INTEGER NOT NULL,
    -- By which clock. `closed_at` is by the same, also if the wall clock was set in between.
    clock_seq    INTEGER REFERENCES clock_stretches (seq),
    closed_at    INTEGER CHECK (closed_at IS NULL OR closed_at >= opened_at),
    end_evidence TEXT    CHECK (end_evidence IN ('engine', 'never_started', 'estimated')),
    CHECK ((closed_at IS NULL) = (end_evidence IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_intervals_by_opening ON usage_intervals (opened_at, task_id);
CREATE INDEX usage_intervals_by_closing ON usage_intervals (closed_at, opened_at);

-- What all open intervals reserve together, so that it need not be summed up for each task that begins.
CREATE TABLE reserved (
    singleton  INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    cpu_units  INTEGER NOT NULL CHECK (cpu_units >= 0),
    memory_mib INTEGER NOT NULL CHECK (memory_mib >= 0)
) STRICT;

INSERT INTO reserved (singleton, cpu_units, memory_mib) VALUES (1, 0, 0);

CREATE TRIGGER usage_intervals_reserve AFTER INSERT ON usage_intervals WHEN NEW.closed_at IS NULL
BEGIN
    UPDATE reserved SET cpu_units = cpu_units + NEW.cpu_units, memory_mib = memory_mib + NEW.memory_mib;
END;

CREATE TRIGGER usage_intervals_give_back AFTER UPDATE OF closed_at ON usage_intervals
WHEN OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL
BEGIN
    UPDATE reserved SET cpu_units = cpu_units - NEW.cpu_units, memory_mib = memory_mib - NEW.memory_mib;
END;

-- Intervals that are not rolled up yet: all that are open, and those that were closed a moment ago.
CREATE TABLE usage_unrolled (
    opened_at INTEGER NOT NULL,
    task_id   TEXT    NOT NULL,
    PRIMARY KEY (opened_at, task_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER usage_intervals_are_to_be_rolled_up AFTER INSERT ON usage_intervals
BEGIN
    INSERT INTO usage_unrolled (opened_at, task_id) VALUES (NEW.opened_at, NEW.task_id);
END;

-- What became of old intervals.
CREATE TABLE usage_history (
    singleton             INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    -- The longest interval that was rolled up.
    longest_ms            INTEGER NOT NULL CHECK (longest_ms >= 0),
    -- Those that ended before are, or may be, removed. NULL while none was.
    gone_until            INTEGER,
    removed_tasks         INTEGER NOT NULL CHECK (removed_tasks >= 0),
    removed_milli_vcpu_ms INTEGER NOT NULL CHECK (removed_milli_vcpu_ms >= 0),
    removed_mib_ms        INTEGER NOT NULL CHECK (removed_mib_ms >= 0)
) STRICT;

INSERT INTO usage_history (singleton, longest_ms, removed_tasks, removed_milli_vcpu_ms, removed_mib_ms)
VALUES (1, 0, 0, 0, 0);

CREATE TRIGGER usage_history_goes_on BEFORE UPDATE ON usage_history
WHEN NEW.longest_ms < OLD.longest_ms OR (OLD.gone_until IS NOT NULL AND (NEW.gone_until IS NULL OR NEW.gone_until < OLD.gone_until))
  OR NEW.removed_tasks < OLD.removed_tasks
BEGIN
    SELECT RAISE(ABORT, 'what was removed never comes back');
END;

CREATE TRIGGER usage_intervals_stay BEFORE DELETE ON usage_intervals
WHEN OLD.closed_at IS NULL
  OR OLD.closed_at >= coalesce((SELECT gone_until FROM usage_history), OLD.closed_at)
  OR EXISTS (SELECT 1 FROM usage_unrolled WHERE opened_at = OLD.opened_at AND task_id = OLD.task_id)
BEGIN
    SELECT RAISE(ABORT, 'a usage interval is only removed when it is rolled up and older than what is kept');
END;

CREATE TRIGGER usage_unrolled_is_final BEFORE DELETE ON usage_unrolled
WHEN (SELECT closed_at FROM usage_intervals WHERE task_id = OLD.task_id) IS NULL
  OR (SELECT cleaned_at FROM tasks WHERE id = OLD.task_id) IS NULL
BEGIN
    SELECT RAISE(ABORT, 'an interval of which the end may move cannot be rolled up');
END;

-- What usage is grouped by beside time. An empty service is none.
CREATE TABLE usage_groups (
    id      INTEGER NOT NULL PRIMARY KEY,
    cluster TEXT    NOT NULL,
    family  TEXT    NOT NULL,
    service TEXT    NOT NULL,
    tags    TEXT    NOT NULL CHECK (json_type(tags) = 'object'),
    UNIQUE (cluster, family, service, tags)
) STRICT;

-- What the tasks of a group came to in an hour or a day. Each interval is added once, in the transaction that takes it
-- from `usage_unrolled`.
CREATE TABLE usage_rollups (
    step_ms                INTEGER NOT NULL CHECK (step_ms IN (3600000, 86400000)),
    starts_at              INTEGER NOT NULL CHECK (starts_at % step_ms = 0),
    group_id               INTEGER NOT NULL REFERENCES usage_groups (id),
    -- Tasks that began in it, and such as had begun before and went on in it.
    opened                 INTEGER NOT NULL CHECK (opened >= 0),
    opened_estimated       INTEGER NOT NULL CHECK (opened_estimated BETWEEN 0 AND opened),
    opened_measured        INTEGER NOT NULL CHECK (opened_measured BETWEEN 0 AND opened),
    carried                INTEGER NOT NULL CHECK (carried >= 0),
    carried_estimated      INTEGER NOT NULL CHECK (carried_estimated BETWEEN 0 AND carried),
    carried_measured       INTEGER NOT NULL CHECK (carried_measured BETWEEN 0 AND carried),
    duration_ms            INTEGER NOT NULL CHECK (duration_ms >= 0),
    milli_vcpu_ms          INTEGER NOT NULL CHECK (milli_vcpu_ms >= 0),
    mib_ms                 INTEGER NOT NULL CHECK (mib_ms >= 0),
    used_cpu_ns            INTEGER NOT NULL CHECK (used_cpu_ns >= 0),
    used_memory_kib_ms     INTEGER NOT NULL CHECK (used_memory_kib_ms >= 0),
    measured_milli_vcpu_ms INTEGER NOT NULL CHECK (measured_milli_vcpu_ms BETWEEN 0 AND milli_vcpu_ms),
    measured_mib_ms        INTEGER NOT NULL CHECK (measured_mib_ms BETWEEN 0 AND mib_ms),
    PRIMARY KEY (step_ms, starts_at, group_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER usage_rollups_only_grow BEFORE UPDATE ON usage_rollups
WHEN NEW.opened < OLD.opened OR NEW.carried < OLD.carried OR NEW.duration_ms < OLD.duration_ms
BEGIN
    SELECT RAISE(ABORT, 'a roll-up only grows');
END;

CREATE TRIGGER usage_rollups_stay BEFORE DELETE ON usage_rollups
BEGIN
    SELECT RAISE(ABORT, 'a roll-up is never deleted');
END;

-- The price sheets that roll-ups are priced by: what each says of prices and of rounding, whatever it is called.
CREATE TABLE usage_sheets (
    id             INTEGER NOT NULL PRIMARY KEY,
    terms          TEXT    NOT NULL UNIQUE,
    -- How far the intervals were priced that had been rolled up before the sheet came; NULL when all are.
    priced_until   INTEGER,
    priced_task    TEXT,
    -- When the last interval ended that is priced by it.
    last_closed_at INTEGER,
    -- What ended before was gone when the sheet came.
    priced_since   INTEGER,
    CHECK ((priced_until IS NULL) = (priced_task IS NULL))
) STRICT;

-- What a roll-up costs by one of them. Each task's cost was rounded by itself, so parts of it may be less than zero.
CREATE TABLE usage_costs (
    sheet_id             INTEGER NOT NULL REFERENCES usage_sheets (id),
    step_ms              INTEGER NOT NULL,
    starts_at            INTEGER NOT NULL,
    group_id             INTEGER NOT NULL,
    billed_milli_vcpu_ms INTEGER NOT NULL,
    billed_mib_ms        INTEGER NOT NULL,
    billed_tasks         INTEGER NOT NULL,
    vcpu_nano            INTEGER NOT NULL,
    memory_nano          INTEGER NOT NULL,
    tasks_nano           INTEGER NOT NULL,
    unpriced_ms          INTEGER NOT NULL,
    PRIMARY KEY (sheet_id, step_ms, starts_at, group_id),
    FOREIGN KEY (step_ms, starts_at, group_id) REFERENCES usage_rollups (step_ms, starts_at, group_id)
) STRICT, WITHOUT ROWID;

-- Closed by an event that told of the end, which comes a little late, it may move back to the end that the engine has on
-- record, until the task was cleaned up.
CREATE TRIGGER usage_intervals_close_once BEFORE UPDATE ON usage_intervals
WHEN OLD.closed_at IS NOT NULL
 AND (OLD.end_evidence IS NOT 'engine' OR NEW.end_evidence IS NOT 'engine' OR NEW.closed_at > OLD.closed_at
      OR (SELECT cleaned_at FROM tasks WHERE id = OLD.task_id) IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'a closed usage interval never changes');
END;

CREATE TRIGGER usage_intervals_keep_their_size BEFORE UPDATE OF
    task_id, cluster, family, revision, cpu_units, memory_mib, opened_at, clock_seq ON usage_intervals
BEGIN
    SELECT RAISE(ABORT, 'of a usage interval only the end is ever written');
END;

-- For how long sandboxes waited for a task, together, by the hour: no task pays for that.
CREATE TABLE warm_sandboxes (
    starts_at  INTEGER NOT NULL PRIMARY KEY CHECK (starts_at % 3600000 = 0),
    sandbox_ms INTEGER NOT NULL CHECK (sandbox_ms >= 0)
) STRICT;

-- What a task was measured to use, beside what it reserved: everything since it began, so the numbers only grow, and
-- writing one twice changes nothing.
CREATE TABLE usage_measured (
    task_id           TEXT    NOT NULL PRIMARY KEY REFERENCES tasks (id),
    cpu_ns            INTEGER NOT NULL CHECK (cpu_ns >= 0),
    memory_kib_ms     INTEGER NOT NULL CHECK (memory_kib_ms >= 0),
    memory_peak_bytes INTEGER NOT NULL CHECK (memory_peak_bytes >= 0),
    network_rx_bytes  INTEGER NOT NULL CHECK (network_rx_bytes >= 0),
    network_tx_bytes  INTEGER NOT NULL CHECK (network_tx_bytes >= 0),
    block_read_bytes  INTEGER NOT NULL CHECK (block_read_bytes >= 0),
    block_write_bytes INTEGER NOT NULL CHECK (block_write_bytes >= 0),
    measured_until    INTEGER NOT NULL,
    source            TEXT    NOT NULL CHECK (source IN ('cgroup', 'sample'))
) STRICT, WITHOUT ROWID;

CREATE TRIGGER usage_measured_only_grows BEFORE UPDATE ON usage_measured
WHEN NEW.task_id IS NOT OLD.task_id OR NEW.cpu_ns < OLD.cpu_ns OR NEW.memory_kib_ms < OLD.memory_kib_ms
  OR NEW.memory_peak_bytes < OLD.memory_peak_bytes OR NEW.network_rx_bytes < OLD.network_rx_bytes
  OR NEW.network_tx_bytes < OLD.network_tx_bytes OR NEW.block_read_bytes < OLD.block_read_bytes
  OR NEW.block_write_bytes < OLD.block_write_bytes OR NEW.measured_until < OLD.measured_until
BEGIN
    SELECT RAISE(ABORT, 'what was used only grows');
END;

CREATE TRIGGER usage_measured_stays BEFORE DELETE ON usage_measured
WHEN NOT EXISTS (SELECT 1 FROM tasks WHERE id = OLD.task_id AND pull_started_at IS NOT NULL)
  OR EXISTS (SELECT 1 FROM usage_intervals WHERE task_id = OLD.task_id)
BEGIN
    SELECT RAISE(ABORT, 'what was used is only removed after its interval');
END;

-- Bills that were issued, word for word. The numbers have no holes: nothing is ever deleted.
CREATE TABLE bills (
    number      INTEGER NOT NULL PRIMARY KEY,
    issued_at   INTEGER NOT NULL,
    period_from INTEGER NOT NULL,
    period_to   INTEGER NOT NULL CHECK (period_to > period_from AND period_to <= issued_at),
    document    TEXT    NOT NULL CHECK (json_type(document) = 'object')
) STRICT;

CREATE TRIGGER bills_never_change BEFORE UPDATE ON bills
BEGIN
    SELECT RAISE(ABORT, 'a bill that was issued never changes');
END;

CREATE TRIGGER bills_stay BEFORE DELETE ON bills
BEGIN
    SELECT RAISE(ABORT, 'a bill that was issued is never deleted');
END;

-- What tasks that have ended reserved and used, by cluster and by service. 500 of each have a row of their own, in the order in
-- which they were made, and keep it; row 0 is for all others. So what Prometheus is shown has bounds, and costs nothing to sum up.
CREATE TABLE usage_totals (
    id            INTEGER NOT NULL PRIMARY KEY,
    scope         TEXT    NOT NULL CHECK (scope IN ('cluster', 'service')),
    seq           INTEGER NOT NULL CHECK (seq BETWEEN 0 AND 500),
    cluster       TEXT    NOT NULL,
    service       TEXT    NOT NULL,
    cpu_unit_ms   INTEGER NOT NULL DEFAULT 0 CHECK (cpu_unit_ms >= 0),
    mib_ms        INTEGER NOT NULL DEFAULT 0 CHECK (mib_ms >= 0),
    -- Used: CPU time in seconds and nanoseconds, memory in KiB × seconds and KiB × milliseconds, since one number is too small.
    cpu_s         INTEGER NOT NULL DEFAULT 0 CHECK (cpu_s >= 0),
    cpu_ns        INTEGER NOT NULL DEFAULT 0 CHECK (cpu_ns BETWEEN 0 AND 999999999),
    memory_kib_s  INTEGER NOT NULL DEFAULT 0 CHECK (memory_kib_s >= 0),
    memory_kib_ms INTEGER NOT NULL DEFAULT 0 CHECK (memory_kib_ms BETWEEN 0 AND 999),
    UNIQUE (scope, seq),
    UNIQUE (scope, cluster, service)
) STRICT;

INSERT INTO usage_totals (id, scope, seq, cluster, service) VALUES (1, 'cluster', 0, '', ''), (2, 'service', 0, '', '');

CREATE TRIGGER usage_totals_name_cluster AFTER INSERT ON clusters
WHEN NOT EXISTS (SELECT 1 FROM usage_totals WHERE scope = 'cluster' AND cluster = NEW.name AND service = '')
BEGIN
    INSERT INTO usage_totals (scope, seq, cluster, service)
    SELECT 'cluster', max(seq) + 1, NEW.name, '' FROM usage_totals WHERE scope = 'cluster' HAVING max(seq) < 500;
END;

CREATE TRIGGER usage_totals_name_service AFTER INSERT ON services
WHEN NOT EXISTS (SELECT 1 FROM usage_totals WHERE scope = 'service' AND cluster = NEW.cluster AND service = NEW.name)
BEGIN
    INSERT INTO usage_totals (scope, seq, cluster, service)
    SELECT 'service', max(seq) + 1, NEW.cluster, NEW.name FROM usage_totals WHERE scope = 'service' HAVING max(seq) < 500;
END;

-- The rows that a task counts in: its cluster's, and its service's if it belongs to one.
CREATE VIEW usage_totals_of_tasks (task_id, total_id) AS
SELECT t.id, coalesce((SELECT u.id FROM usage_totals u
                                   WHERE u.scope = 'cluster' AND u.cluster = t.cluster AND u.service = ''), 1)
  FROM tasks t
UNION ALL
SELECT t.id, coalesce((SELECT u.id FROM usage_totals u
                                   WHERE u.scope = 'service' AND u.cluster = t.cluster AND u.service = substr(t.task_group, 9)), 2)
  FROM tasks t WHERE t.task_group GLOB 'service:*';

-- With the last of its containers gone, no end of a task moves any more.
CREATE TRIGGER usage_totals_end AFTER UPDATE OF cleaned_at ON tasks
WHEN OLD.cleaned_at IS NULL AND NEW.cleaned_at IS NOT NULL
BEGIN
    UPDATE usage_totals
       SET cpu_unit_ms = usage_totals.cpu_unit_ms + i.cpu_units * (i.closed_at - i.opened_at),
           mib_ms = usage_totals.mib_ms + i.memory_mib * (i.closed_at - i.opened_at)
      FROM usage_intervals i
     WHERE i.task_id = NEW.id AND i.closed_at IS NOT NULL AND id IN (SELECT total_id FROM usage_totals_of_tasks WHERE task_id = NEW.id);
    UPDATE usage_totals
       SET cpu_s = usage_totals.cpu_s + m.cpu_ns / 1000000000 + (usage_totals.cpu_ns + m.cpu_ns % 1000000000) / 1000000000,
           cpu_ns = (usage_totals.cpu_ns + m.cpu_ns % 1000000000) % 1000000000,
           memory_kib_s = memory_kib_s + m.memory_kib_ms / 1000 + (usage_totals.memory_kib_ms + m.memory_kib_ms % 1000) / 1000,
           memory_kib_ms = (usage_totals.memory_kib_ms + m.memory_kib_ms % 1000) % 1000
      FROM usage_measured m
     WHERE m.task_id = NEW.id AND id IN (SELECT total_id FROM usage_totals_of_tasks WHERE task_id = NEW.id);
END;

-- What is measured of a task after that.
CREATE TRIGGER usage_totals_first AFTER INSERT ON usage_measured
WHEN EXISTS (SELECT 1 FROM tasks WHERE id = NEW.task_id AND cleaned_at IS NOT NULL)
BEGIN
    UPDATE usage_totals
       SET cpu_s = cpu_s + NEW.cpu_ns / 1000000000 + (cpu_ns + NEW.cpu_ns % 1000000000) / 1000000000,
           cpu_ns = (cpu_ns + NEW.cpu_ns % 1000000000) % 1000000000,
           memory_kib_s = memory_kib_s + NEW.memory_kib_ms / 1000 + (memory_kib_ms + NEW.memory_kib_ms % 1000) / 1000,
           memory_kib_ms = (memory_kib_ms + NEW.memory_kib_ms % 1000) % 1000
     WHERE id IN (SELECT total_id FROM usage_totals_of_tasks WHERE task_id = NEW.task_id);
END;

CREATE TRIGGER usage_totals_more AFTER UPDATE ON usage_measured
WHEN EXISTS (SELECT 1 FROM tasks WHERE id = NEW.task_id AND cleaned_at IS NOT NULL)
BEGIN
    UPDATE usage_totals
       SET cpu_s = cpu_s + (NEW.cpu_ns - OLD.cpu_ns) / 1000000000 + (cpu_ns + (NEW.cpu_ns - OLD.cpu_ns) % 1000000000) / 1000000000,
           cpu_ns = (cpu_ns + (NEW.cpu_ns - OLD.cpu_ns) % 1000000000) % 1000000000,
           memory_kib_s = memory_kib_s + (NEW.memory_kib_ms - OLD.memory_kib_ms) / 1000 + (memory_kib_ms + (NEW.memory_kib_ms - OLD.memory_kib_ms) % 1000) / 1000,
           memory_kib_ms = (memory_kib_ms + (NEW.memory_kib_ms - OLD.memory_kib_ms) % 1000) % 1000
     WHERE id IN (SELECT total_id FROM usage_totals_of_tasks WHERE task_id = NEW.task_id);
END;

-- Budgets: what tasks may cost.
CREATE TABLE budgets (
    name        TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    -- JSON of the domain's types: `BudgetDefinition`, `BudgetState`.
    definition  TEXT    NOT NULL CHECK (json_type(definition) = 'object'),
    state       TEXT    NOT NULL CHECK (json_type(state) = 'object'),
    -- No new tasks before that; also in `state`, here to be found by.
    stops_until INTEGER,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    version     INTEGER NOT NULL CHECK (version >= 1)
) STRICT, WITHOUT ROWID;

CREATE INDEX budgets_that_stop ON budgets (stops_until) WHERE stops_until IS NOT NULL;

CREATE TRIGGER budgets_count_up BEFORE UPDATE ON budgets
WHEN NEW.version <> OLD.version + 1 OR NEW.name IS NOT OLD.name OR NEW.created_at IS NOT OLD.created_at
BEGIN
    SELECT RAISE(ABORT, 'a budget is only changed by whoever has seen its newest version');
END;

-- Intervals that were opened and closed, in the order in which that was recorded, until all budgets have counted them.
CREATE TABLE usage_changes (
    seq           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    task_id       TEXT    NOT NULL,
    -- Its end by that change, and the one before it, if that was moved.
    closed_at     INTEGER,
    was_closed_at INTEGER CHECK (was_closed_at IS NULL OR closed_at IS NOT NULL)
) STRICT;

CREATE TRIGGER usage_changes_begin AFTER INSERT ON usage_intervals WHEN EXISTS (SELECT 1 FROM budgets)
BEGIN
    INSERT INTO usage_changes (task_id) VALUES (NEW.task_id);
END;

CREATE TRIGGER usage_changes_end AFTER UPDATE OF closed_at ON usage_intervals
WHEN NEW.closed_at IS NOT OLD.closed_at AND EXISTS (SELECT 1 FROM budgets)
BEGIN
    INSERT INTO usage_changes (task_id, closed_at, was_closed_at) VALUES (NEW.task_id, NEW.closed_at, OLD.closed_at);
END;

-- AUTOINCREMENT, so that a number is not given again after the events that had it were pruned.
CREATE TABLE events (
    seq     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind <> ''),
    cluster TEXT,
    subject TEXT    NOT NULL,
    status  TEXT,
    message TEXT    NOT NULL
) STRICT;

CREATE INDEX events_by_subject ON events (subject);

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'an event never changes');
END;
