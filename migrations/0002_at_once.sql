-- What is recorded of a task at one moment is one statement. SQLite takes a statement that fails back as a whole, so such a
-- write needs no savepoint, and it goes to the thread that has the database, and back, once.
--
-- The views have no rows; only INSERT means anything. `events` is a JSON array with a column of `events` for each key.

-- A task that is accepted.
CREATE VIEW accepted_tasks AS
SELECT id, cluster, family, spec, task_group, started_by, tags, overrides,
       stop_requested_at, stop_request_reason, stop_request_code, created_at, version, health, NULL AS events
  FROM tasks WHERE FALSE;

CREATE TRIGGER accepted_tasks_become_rows INSTEAD OF INSERT ON accepted_tasks
BEGIN
    SELECT RAISE(ABORT, 'no such cluster')
     WHERE NOT EXISTS (SELECT 1 FROM clusters WHERE name = NEW.cluster AND deleted_at IS NULL);
    SELECT RAISE(ABORT, 'no new task') WHERE EXISTS (SELECT 1 FROM tasks WHERE id = NEW.id);
    INSERT INTO tasks
        (id, cluster, family, spec, task_group, started_by, tags, overrides,
         stop_requested_at, stop_request_reason, stop_request_code, created_at,
         planned_status, last_status, version, health)
    VALUES (NEW.id, NEW.cluster, NEW.family, NEW.spec, NEW.task_group, NEW.started_by, NEW.tags, NEW.overrides,
            NEW.stop_requested_at, NEW.stop_request_reason, NEW.stop_request_code, NEW.created_at,
            'RUNNING', 'PROVISIONING', NEW.version, NEW.health);
    INSERT INTO events (at, kind, cluster, subject, status, message)
    SELECT value ->> 'at', value ->> 'kind', value ->> 'cluster', value ->> 'subject', value ->> 'status', value ->> 'message'
      FROM json_each(NEW.events);
END;

-- What the planner decided and the engine reported: a row of `tasks` that had `version` and has `next_version` then, its
-- containers (a JSON array with a column of `containers` for each key), the usage interval that begins with it, if one does
-- (`opened`, a JSON object), and what the host has, if it must have room for that.
CREATE VIEW recorded_tasks AS
SELECT id, version, version AS next_version, planned_status, stop_code, stopped_reason, waiting, last_status, health, address,
       limits_enforced_by, pull_started_at, pull_stopped_at, pull_current_bytes, pull_total_bytes, started_at, healthy_at,
       stopping_at, execution_stopped_at, stopped_at, cleaned_at,
       NULL AS containers, NULL AS opened, NULL AS host_cpu_units, NULL AS host_memory_mib, NULL AS events
  FROM tasks WHERE FALSE;

CREATE TRIGGER recorded_tasks_become_rows INSTEAD OF INSERT ON recorded_tasks
BEGIN
    SELECT RAISE(ABORT, 'stale') WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE id = NEW.id AND version = NEW.version);
    UPDATE tasks
       SET planned_status = NEW.planned_status, stop_code = NEW.stop_code, stopped_reason = NEW.stopped_reason,
           waiting = NEW.waiting, last_status = NEW.last_status, health = NEW.health, address = NEW.address,
           limits_enforced_by = NEW.limits_enforced_by,
           pull_started_at = NEW.pull_started_at, pull_stopped_at = NEW.pull_stopped_at,
           pull_current_bytes = NEW.pull_current_bytes, pull_total_bytes = NEW.pull_total_bytes,
           started_at = NEW.started_at, healthy_at = NEW.healthy_at, stopping_at = NEW.stopping_at,
           execution_stopped_at = NEW.execution_stopped_at, stopped_at = NEW.stopped_at, cleaned_at = NEW.cleaned_at,
           version = NEW.next_version
     WHERE id = NEW.id;
    -- A container that is not named is left as it is.
    INSERT INTO containers
        (task_id, name, last_status, runtime_id, image_digest, started_at, finished_at,
         exit_code, reason, health, network_bindings, attempt, restart_count)
    SELECT NEW.id, value ->> 'name', value ->> 'last_status', value ->> 'runtime_id',
           value ->> 'image_digest', value ->> 'started_at', value ->> 'finished_at',
           value ->> 'exit_code', value ->> 'reason', value ->> 'health', value -> 'network_bindings',
           value ->> 'attempt', value ->> 'restart_count'
      FROM json_each(NEW.containers) WHERE TRUE
        ON CONFLICT (task_id, name) DO UPDATE
       SET last_status = excluded.last_status, runtime_id = excluded.runtime_id,
           image_digest = excluded.image_digest, started_at = excluded.started_at,
           finished_at = excluded.finished_at, exit_code = excluded.exit_code,
           reason = excluded.reason, health = excluded.health,
           network_bindings = excluded.network_bindings,
           attempt = excluded.attempt, restart_count = excluded.restart_count;
    INSERT INTO usage_intervals (task_id, cluster, family, revision, cpu_units, memory_mib, opened_at, clock_seq)
    SELECT NEW.id, NEW.opened ->> 'cluster', NEW.opened ->> 'family', NEW.opened ->> 'revision', NEW.opened ->> 'cpu_units',
           NEW.opened ->> 'memory_mib', NEW.opened ->> 'opened_at', (SELECT max(seq) FROM clock_stretches)
     WHERE NEW.opened IS NOT NULL
        ON CONFLICT (task_id) DO NOTHING;
    SELECT RAISE(ABORT, 'no room')
      FROM reserved WHERE cpu_units > NEW.host_cpu_units OR memory_mib > NEW.host_memory_mib;
    INSERT INTO events (at, kind, cluster, subject, status, message)
    SELECT value ->> 'at', value ->> 'kind', value ->> 'cluster', value ->> 'subject', value ->> 'status', value ->> 'message'
      FROM json_each(NEW.events);
END;
